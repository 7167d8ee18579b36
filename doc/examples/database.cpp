// SPDX-License-Identifier: BSL-1.0

// A service with a pool of SQLite connections: counts its beats in beats.sqlite.

#include <sqlite3.h>

#include <daemonctx/daemon_context.hpp>
#include <memory>
#include <stdexcept>
#include <vector>

class Connection {
 public:
  explicit Connection(const char* file) {
    sqlite3* opened = nullptr;
    const int result = ::sqlite3_open(file, &opened);
    database_.reset(opened);
    check(result);
  }

  void execute(const char* statement) {
    check(::sqlite3_exec(database_.get(), statement, nullptr, nullptr, nullptr));
  }

  void close() {
    check(::sqlite3_close(database_.get()));
    static_cast<void>(database_.release());
  }

 private:
  void check(int result) const {
    if (result != SQLITE_OK) throw std::runtime_error(::sqlite3_errmsg(database_.get()));
  }

  std::unique_ptr<sqlite3, decltype(&::sqlite3_close_v2)> database_{nullptr, &::sqlite3_close_v2};
};

// tag::program[]
int main() {
  const daemonctx::DaemonOptions options{.working_directory = ".",
                                         .pidfile = "database.pid",
                                         .stdio = {.err = daemonctx::StdioTarget::file("database.log")},
                                         .readiness = daemonctx::Readiness::when_notified};
  return daemonctx::run(options, [](daemonctx::DaemonContext& context) {
    std::vector<std::shared_ptr<Connection>> pool;
    while (pool.size() < 4) {
      pool.push_back(std::make_shared<Connection>("beats.sqlite"));
      context.close_on_exit(pool.back());  // the context keeps a copy of the pointer
    }
    pool.front()->execute("PRAGMA journal_mode = WAL; CREATE TABLE IF NOT EXISTS beats (time)");
    context.notify_ready();
    for (std::size_t i = 0; !context.wait_for(std::chrono::milliseconds(100)); ++i)
      pool[i % pool.size()]->execute("INSERT INTO beats VALUES (unixepoch())");
    return 0;
  });
}
// end::program[]
