// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sqlite3.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace jobd {

struct Job {
  long id = 0;
  std::string text;
};

struct DatabaseError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

constexpr long lease = 5;  // seconds until a taken job is queued again, unless its lease is renewed

/// A connection to the jobs in an SQLite file; one for each thread. Several processes may use the file, as
/// during an upgrade. Each member throws DatabaseError, and has then changed nothing.
class Queue {
 public:
  explicit Queue(const std::string& file) {
    sqlite3* opened = nullptr;
    const int result = ::sqlite3_open(file.c_str(), &opened);
    database_.reset(opened);
    if (result != SQLITE_OK) throw DatabaseError("cannot open \"" + file + "\": " + ::sqlite3_errmsg(opened));
    ::sqlite3_busy_timeout(opened, 10'000);
    execute(schema);
  }

  long submit(std::string_view text) {
    return run("INSERT INTO jobs (text) VALUES (?) RETURNING id", text).id;
  }

  /// False if the job has ended, or there is none.
  bool cancel(long id) { return run(cancelling, id).changed; }

  /// The oldest job that is queued.
  std::optional<Job> take() {
    Row row = run(taking, lease);
    return row.found ? std::optional(Job{row.id, std::move(row.text)}) : std::nullopt;
  }
  void renew(long id) {
    run("UPDATE jobs SET lease_end = unixepoch() + ? WHERE id = ? AND state = 'taken'", lease, id);
  }
  void queue_again() {
    run("UPDATE jobs SET state = 'queued' WHERE state = 'taken' AND lease_end <= unixepoch()");
  }

  /// Adds the job's effect and marks it done in one transaction. Another worker may have ended it meanwhile.
  void finish(const Job& job, std::string_view result) {
    execute("BEGIN IMMEDIATE");
    try {
      if (end(job, "done", result)) run("INSERT INTO effects VALUES (?, ?)", job.id, result);
      execute("COMMIT");
    } catch (const DatabaseError&) {
      ::sqlite3_exec(database_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
      throw;
    }
  }
  void fail(const Job& job, std::string_view error) { end(job, "failed", error); }

  std::string list() { return run(listing, 100L).text; }  ///< a line for each of the last jobs
  std::string summary() { return run(counting).text; }    ///< JSON, for the page

  void close() {
    check(::sqlite3_close(database_.get()));
    static_cast<void>(database_.release());
  }

 private:
  // WAL: readers don't wait for writers. FULL: what is committed survives a power failure.
  static constexpr const char* schema = R"(
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    CREATE TABLE IF NOT EXISTS jobs (id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT NOT NULL,
      state TEXT NOT NULL DEFAULT 'queued', lease_end INTEGER, result TEXT, ended INTEGER);
    CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, id);
    CREATE INDEX IF NOT EXISTS jobs_by_end ON jobs (ended);
    CREATE TABLE IF NOT EXISTS effects (job INTEGER NOT NULL, result TEXT NOT NULL);)";
  static constexpr const char* taking = R"(
    UPDATE jobs SET state = 'taken', lease_end = unixepoch() + ?
    WHERE id = (SELECT id FROM jobs WHERE state = 'queued' ORDER BY id LIMIT 1) RETURNING id, text)";
  static constexpr const char* ending = R"(
    UPDATE jobs SET state = ?, result = ?, ended = unixepoch() WHERE id = ? AND state = 'taken')";
  static constexpr const char* cancelling = R"(
    UPDATE jobs SET state = 'cancelled', ended = unixepoch() WHERE id = ? AND state IN ('queued', 'taken'))";
  static constexpr const char* listing = R"(
    SELECT 0, group_concat(
      printf('%d %s: %s%s', id, state, text, coalesce(' -> ' || result, '')) || char(10), '')
    FROM (SELECT * FROM jobs ORDER BY id DESC LIMIT ?))";
  static constexpr const char* counting = R"(SELECT 0, json_object(
    'states', (SELECT json_group_object(state, number)
      FROM (SELECT state, count(*) AS number FROM jobs GROUP BY state)),
    'errors', (SELECT json_group_array(json_object('id', id, 'text', result))
      FROM (SELECT id, result FROM jobs WHERE state = 'failed' ORDER BY id DESC LIMIT 5)),
    'minutes', (SELECT json_group_object(minute, number)
      FROM (SELECT (unixepoch() - ended) / 60 AS minute, count(*) AS number FROM jobs
            WHERE ended > unixepoch() - 1800 AND state = 'done' GROUP BY minute))))";

  struct Row {
    bool found = false;
    bool changed = false;
    long id = 0;
    std::string text = {};
  };

  void check(int result) const {
    if (result != SQLITE_OK && result != SQLITE_DONE && result != SQLITE_ROW)
      throw DatabaseError(std::string("database: ") + ::sqlite3_errmsg(database_.get()));
  }
  void execute(const char* sql) { check(::sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr)); }
  bool end(const Job& job, std::string_view state, std::string_view result) {
    return run(ending, state, result, job.id).changed;
  }

  static int bind(sqlite3_stmt* statement, int at, long value) {
    return ::sqlite3_bind_int64(statement, at, value);
  }
  static int bind(sqlite3_stmt* statement, int at, std::string_view text) {
    return ::sqlite3_bind_text(statement, at, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT);
  }

  // Runs a statement to its end. Returns its row, if it gives one.
  template <class... Values>
  Row run(const char* sql, const Values&... values) {
    sqlite3_stmt* made = nullptr;
    check(::sqlite3_prepare_v2(database_.get(), sql, -1, &made, nullptr));
    const std::unique_ptr<sqlite3_stmt, decltype(&::sqlite3_finalize)> statement(made, &::sqlite3_finalize);
    int at = 0;
    (check(bind(made, ++at, values)), ...);
    Row row;
    for (int result = SQLITE_ROW; result == SQLITE_ROW; check(result)) {
      result = ::sqlite3_step(made);
      if (result != SQLITE_ROW) continue;
      row.found = true;
      row.id = ::sqlite3_column_int64(made, 0);
      if (::sqlite3_column_count(made) > 1)
        row.text.assign(reinterpret_cast<const char*>(::sqlite3_column_text(made, 1)),
                        static_cast<std::size_t>(::sqlite3_column_bytes(made, 1)));
    }
    row.changed = ::sqlite3_changes(database_.get()) > 0;
    return row;
  }

  std::unique_ptr<sqlite3, decltype(&::sqlite3_close_v2)> database_{nullptr, &::sqlite3_close_v2};
};

}  // namespace jobd
