// SPDX-License-Identifier: BSL-1.0

// What holds when a daemon ends in several ways at once.
//
// Each row names up to three ways to end, or things that go on meanwhile. The first one begins the end. The
// others come while its third cleanup of four runs ("during"), or are under way before it begins ("before"),
// or all act at the same moment ("together"). test/probe/lifetime_probe.cpp runs the row. The table promises
// for every row:
//
// - No thread hangs. A way that comes late waits for the running cleanup, at most `cleanup_timeout`, or five
//   seconds if none is set. Then the rest is given up: one line, exit code 1. In no other row is anything
//   given up.
// - Cleanups run once, last registered first, and never in a forked child. All of them have run, with three
//   exceptions. An end that is given up leaves the cleanups that had not ended. An uncaught exception on
//   another thread that comes first runs none. One that comes late may cut off the cleanups after the running
//   one.
// - The pidfile is gone.
// - The first way decides how the process ends. Only a scope that ends leaves that to a later `std::exit`.
// - The log holds nothing but the lines that the row explains.
// - Calls after the end do nothing: `wait*()` and `stop_requested()` are true, a `Cleanup` can be neither
//   released nor run.
// - A sanitizer finds nothing. Its report changes the status or stands in the log, and test/run reads its
//   report files.
//
// Usage: test_lifetime_pairs [BOOST OPTION...] -- PROBE [TEXT]
//   TEXT              only the rows whose name contains it
//   DAEMONCTX_ROUNDS  how often each row runs

#define BOOST_TEST_MODULE lifetime_pairs
#include <signal.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <iterator>
#include <set>
#include <sstream>

#include "probe_pool.hpp"
#include "scene.hpp"

namespace {

using namespace std::chrono_literals;
using Milliseconds = std::chrono::milliseconds;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int slowness = 4;
#elif defined(__has_feature)
constexpr int slowness = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ? 4 : 1;
#else
constexpr int slowness = 1;
#endif

constexpr std::size_t busy_at_once = 8;
constexpr std::size_t waiting_at_once = 32;  // of rows that do little but wait
constexpr Milliseconds default_limit = 5s;   // of a way that comes late, where `cleanup_timeout` is not set
constexpr Milliseconds short_timeout = 300ms;
constexpr Milliseconds hang_limit = default_limit + 5s * slowness;

// The effect of a way on the end: none, one more end of one of four kinds, or a cleanup that never ends.
enum class Effect { none, scope, thrown, exits, aborts, hangs };
// The place of a way: two ways can't have the main thread. Actions run either on the library's thread or in
// wait().
enum class Place { main, thread, cleanup, own_thread, wait };

struct Way {
  std::string name;
  Effect effect;
  Place place;
  bool before = false;  // under way before the end begins
};

const std::vector<Way> first_ways = {
    {"scope", Effect::scope, Place::main},
    {"wait_scope", Effect::scope, Place::main},
    {"throw", Effect::thrown, Place::main},
    {"exit_main", Effect::exits, Place::main},
    {"exit_thread", Effect::exits, Place::thread},
    {"exit_action", Effect::exits, Place::wait},
    {"exit_own_thread", Effect::exits, Place::own_thread},
    {"exit_cleanup", Effect::exits, Place::cleanup},
    {"uncaught_main", Effect::aborts, Place::main},
    {"uncaught_thread", Effect::aborts, Place::thread},
};

const std::vector<Way> late_enders = {
    {"scope", Effect::scope, Place::main},
    {"throw", Effect::thrown, Place::main},
    {"exit_main", Effect::exits, Place::main},
    {"uncaught_main", Effect::aborts, Place::main},
    {"exit_thread", Effect::exits, Place::thread},
    {"exit_wait_thread", Effect::exits, Place::wait},
    {"exit_own_thread", Effect::exits, Place::own_thread},
    {"uncaught_thread", Effect::aborts, Place::thread},
};

const std::vector<Way> disturbances = {
    {"exit_cleanup", Effect::exits, Place::cleanup},
    {"fork_return", Effect::none, Place::cleanup},
    {"sigterm", Effect::none, Place::thread},
    {"flood", Effect::none, Place::thread},
    {"storm", Effect::none, Place::thread, true},
    {"fork_loop", Effect::none, Place::thread, true},
    {"waiter", Effect::none, Place::thread, true},
    {"slow_action_wait", Effect::none, Place::wait, true},
    {"slow_action_own", Effect::none, Place::own_thread, true},
    {"slow_exit_wait", Effect::exits, Place::wait, true},
    {"slow_exit_own", Effect::exits, Place::own_thread, true},
    {"late_wait", Effect::none, Place::thread, true},
    {"late_on_exit", Effect::none, Place::thread, true},
    {"late_notify_status", Effect::none, Place::thread, true},
    {"late_request_stop", Effect::none, Place::thread, true},
    {"late_map_signal", Effect::none, Place::thread, true},
    {"late_on_reload", Effect::none, Place::thread, true},
    {"late_all", Effect::none, Place::thread, true},
};

const Way join_exit{"join_exit", Effect::hangs, Place::cleanup};
const Way hang{"hang", Effect::hangs, Place::cleanup};

struct Row {
  std::vector<Way> ways;
  bool together = false;
  Milliseconds timeout = {};  // cleanup_timeout
  int scopes = 1;
  bool chained = false;  // the program's terminate handler calls that of an earlier context

  const Way& first() const { return ways.front(); }
  bool has(const std::string& way) const {
    return std::any_of(ways.begin(), ways.end(), [&](const Way& each) { return each.name == way; });
  }
  bool has(Effect effect) const {
    return std::any_of(ways.begin(), ways.end(), [&](const Way& each) { return each.effect == effect; });
  }
  scene::Words words() const {
    scene::Words result;
    if (together) result.push_back("together");
    if (chained) result.push_back("chained");
    if (timeout != 0ms) result.push_back("timeout=" + std::to_string(timeout.count()));
    if (scopes != 1) result.push_back("scopes=" + std::to_string(scopes));
    for (const Way& each : ways) result.push_back(each.name);
    return result;
  }
  std::string name() const {
    std::string result;
    for (const std::string& word : words()) result += (result.empty() ? "" : " ") + word;
    return result;
  }
};

// --- Which rows there are

bool ends_scope_on_main(const Way& way) { return way.place == Place::main; }
bool waits_on_main(const Way& way) { return way.name == "exit_action"; }

// True if the ways can act in one process.
bool fits(const std::vector<Way>& ways) {
  int on_main = 0;
  int own = 0;
  int in_wait = 0;
  for (const Way& way : ways) {
    on_main += ends_scope_on_main(way) || waits_on_main(way) ? 1 : 0;
    own += way.place == Place::own_thread ? 1 : 0;
    in_wait += way.place == Place::wait ? 1 : 0;
  }
  // A cleanup that begins the end needs the main thread to leave the scope.
  if (ways.front().place == Place::cleanup) ++on_main;
  return on_main <= 1 && (own == 0 || in_wait == 0);
}

// Two threads that take each other's signal in wait(), or two slow actions on the library's one thread, would
// test nothing.
bool makes_sense(const std::vector<Way>& ways) {
  const auto count = [&](auto&& matches) { return std::count_if(ways.begin(), ways.end(), matches); };
  const bool waits_itself = count([](const Way& way) { return way.name == "waiter"; }) > 0;
  const auto in_wait = count([](const Way& way) { return way.place == Place::wait; });
  const auto own = count([](const Way& way) { return way.place == Place::own_thread; });
  const auto storms = count([](const Way& way) { return way.name == "storm" || way.name == "flood"; });
  return in_wait <= 1 && own <= 1 && storms <= 1 && !(waits_itself && in_wait > 0);
}

void add(std::vector<Row>& rows, Row row) {
  if (fits(row.ways) && makes_sense(row.ways)) rows.push_back(std::move(row));
}

std::vector<Row> alone() {
  std::vector<Row> rows;
  for (const Way& first : first_ways) {
    add(rows, {.ways = {first}});
    add(rows, {.ways = {first}, .timeout = 10s});
  }
  // An action or a cleanup destroys the context that runs it, and goes on.
  add(rows, {.ways = {{"reset_action", Effect::scope, Place::main}}});
  add(rows, {.ways = {{"reset_own", Effect::scope, Place::main}}});
  add(rows, {.ways = {{"reset_cleanup", Effect::scope, Place::main}}});
  add(rows, {.ways = {{"uncaught_main", Effect::aborts, Place::main}}, .chained = true});
  return rows;
}

std::vector<Row> pairs(const std::vector<Way>& seconds) {
  std::vector<Row> rows;
  for (const Way& first : first_ways) {
    for (const Way& second : seconds) {
      if (first.name == "uncaught_thread" && second.place == Place::cleanup) continue;  // it runs no cleanup
      add(rows, {.ways = {first, second}});
    }
  }
  return rows;
}

// A running action may end the process while one thread ends the scope and another has called std::exit.
std::vector<Row> pairs_together() {
  std::vector<Row> rows;
  const Way exits{"exit_thread", Effect::exits, Place::thread};
  const Way slow_exit_own{"slow_exit_own", Effect::exits, Place::thread, true};
  for (const Way& first : first_ways) {
    if (first.place == Place::cleanup) continue;
    for (const Way& second : late_enders) add(rows, {.ways = {first, second}, .together = true});
    add(rows, {.ways = {first, exits, slow_exit_own}, .together = true});
  }
  return rows;
}

// The child lacks the thread that watches the cleanups. Several contexts one after the other give a fork more
// chances to meet an end.
std::vector<Row> forks() {
  std::vector<Row> rows;
  const Way fork_return{"fork_return", Effect::none, Place::cleanup};
  const Way fork_loop{"fork_loop", Effect::none, Place::thread, true};
  for (const Way& first : first_ways) {
    if (first.name == "uncaught_thread") continue;
    add(rows, {.ways = {first, fork_return}, .timeout = 10s});
    add(rows, {.ways = {first, fork_loop}, .timeout = 10s});
  }
  add(rows, {.ways = {first_ways[0], fork_loop}, .scopes = 30});
  add(rows, {.ways = {first_ways[0], fork_loop}, .timeout = 10s, .scopes = 30});
  return rows;
}

std::vector<Row> triples() {
  std::vector<Row> rows;
  for (const Way& first : first_ways) {
    for (const Way& second : late_enders) {
      for (const Way& third : disturbances) {
        const bool chosen = third.name == "storm" || third.name == "fork_loop" || third.name == "late_all" ||
                            third.name == "waiter" || third.name == "fork_return" ||
                            third.name == "slow_exit_own";
        if (!chosen || first.name == "wait_scope" || first.name == "uncaught_thread") continue;
        add(rows, {.ways = {first, second, third}});
      }
    }
  }
  return rows;
}

// Three ways that end the process, two of them on threads of their own.
std::vector<Row> three_enders() {
  std::vector<Row> rows;
  const Way exits{"exit_thread", Effect::exits, Place::thread};
  for (const Way& first : first_ways) {
    if (first.name == "uncaught_thread" || first.place == Place::cleanup) continue;
    for (const Way& second : late_enders) {
      add(rows, {.ways = {first, second, exits}});
      add(rows, {.ways = {first, second, exits}, .together = true});
    }
  }
  return rows;
}

std::vector<Row> given_up(Milliseconds timeout) {
  std::vector<Row> rows;
  const Way exits{"exit_thread", Effect::exits, Place::thread};
  const Way uncaught{"uncaught_thread", Effect::aborts, Place::thread};
  add(rows, {.ways = {join_exit}, .timeout = timeout});
  add(rows, {.ways = {join_exit, exits}, .timeout = timeout});
  add(rows, {.ways = {join_exit, uncaught}, .timeout = timeout});
  add(rows, {.ways = {hang, exits}, .timeout = timeout});
  add(rows, {.ways = {hang, uncaught}, .timeout = timeout});
  add(rows, {.ways = {hang, exits, uncaught}, .timeout = timeout});
  for (const Way& late : late_enders) {
    if (late.place == Place::main) add(rows, {.ways = {exits, late, hang}, .timeout = timeout});
  }
  for (const Way& first : first_ways) {
    if (first.name != "uncaught_thread") add(rows, {.ways = {first, join_exit}, .timeout = timeout});
  }
  return rows;
}

// --- What is expected

using Lines = std::vector<std::string>;

Lines lines_of(const std::string& text) {
  Lines lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

Lines with_prefix(const std::string& text, const std::string& prefix) {
  Lines found = lines_of(text);
  std::erase_if(found, [&](const std::string& line) { return line.rfind(prefix, 0) != 0; });
  return found;
}

int exit_status(std::size_t place) { return 5 + static_cast<int>(place); }

// The wait status, as waitpid(2) reports it.
int raw_end(const Way& way, std::size_t place) {
  switch (way.effect) {
    case Effect::scope:
      return 3 << 8;
    case Effect::thrown:
      return 4 << 8;
    case Effect::exits:
      return exit_status(place) << 8;
    case Effect::aborts:
      return SIGABRT;
    case Effect::hangs:
      return 1 << 8;
    case Effect::none:
      break;
  }
  throw std::logic_error(way.name);
}

std::set<int> expected_ends(const Row& row) {
  if (row.has(Effect::hangs)) return {1 << 8};
  std::set<int> ends = {raw_end(row.first(), 0)};
  const bool leaves_scope = row.first().effect == Effect::scope || row.first().effect == Effect::thrown;
  for (std::size_t place = 1; place < row.ways.size(); ++place) {
    const Way& way = row.ways[place];
    if (way.effect == Effect::none) continue;
    // std::exit in a cleanup continues the end that runs the cleanup.
    if (row.together || leaves_scope || way.place == Place::cleanup) ends.insert(raw_end(way, place));
    // The cleanups, and so a first way in a cleanup, wait for a running action. Its std::exit comes before
    // theirs. It also comes first where a busy machine holds the first way up as long as the action lasts.
    if (way.before) ends.insert(raw_end(way, place));
  }
  return ends;
}

bool is_late_exception(const Row& row, const scene::End& end) {
  return row.has("uncaught_thread") && end.killed_by(SIGABRT);
}

// How many of the four cleanups may have run: at least, at most.
std::pair<std::size_t, std::size_t> expected_cleanups(const Row& row, const scene::End& end) {
  if (row.first().effect == Effect::hangs) return {0, 0};
  if (row.has(Effect::hangs)) return {2, 2};
  if (row.first().name == "uncaught_thread" && !row.together) return {0, 0};
  if (!is_late_exception(row, end)) return {4, 4};
  return {row.together ? 0 : 2, 4};
}

std::string text_of(const scene::End& end) {
  std::ostringstream text;
  text << end;
  return text.str();
}

void check_cleanups(const Row& row, const scene::Outcome& outcome, Lines& problems) {
  const Lines ran = with_prefix(outcome.out, "cleanup ");
  const auto [least, most] = expected_cleanups(row, outcome.end);
  if (ran.size() < least || ran.size() > most)
    problems.push_back(std::to_string(ran.size()) + " cleanups ran");
  for (std::size_t n = 0; n < ran.size(); ++n) {
    if (ran[n] != "cleanup " + std::to_string(4 - static_cast<int>(n)))
      problems.push_back(ran[n] + " at place " + std::to_string(n + 1));
  }
}

// A forked child that returns from the cleanup must end in the first way, as its parent.
void check_child(const Row& row, const scene::Outcome& outcome, Lines& problems) {
  for (const std::string& line : with_prefix(outcome.out, "child: cleanup")) problems.push_back(line);
  const Lines ended = with_prefix(outcome.out, "child ended");
  if (ended.empty() && row.has("fork_return") && !is_late_exception(row, outcome.end))
    problems.push_back("no child ended");
  const scene::End own{raw_end(row.first(), 0)};
  for (const std::string& line : ended) {
    if (line != "child ended, " + text_of(own)) problems.push_back(line);
  }
}

bool has_late_caller(const Row& row) {
  return std::any_of(row.ways.begin(), row.ways.end(),
                     [](const Way& way) { return way.name.rfind("late_", 0) == 0; });
}

bool leaves_scope_first(const Row& row, const scene::Outcome& outcome) {
  return (row.first().effect == Effect::scope || row.first().effect == Effect::thrown) &&
         outcome.end.raw == raw_end(row.first(), 0);
}

// Checks what threads print after the scope. In other rows the process ends before they can.
void check_late_threads(const Row& row, const scene::Outcome& outcome, Lines& problems) {
  for (const std::string& line : lines_of(outcome.out)) {
    const bool bad = line.find("wrong") != std::string::npos || line.find("blocked") != std::string::npos ||
                     line.rfind("late: a cleanup", 0) == 0 || line.rfind("action:", 0) == 0 ||
                     line == "waiter: no stop";
    if (bad) problems.push_back(line);
  }
  if (!leaves_scope_first(row, outcome) || row.has(Effect::exits)) return;
  const auto must_say = [&](bool applies, const std::string& line) {
    if (applies && with_prefix(outcome.out, line).empty()) problems.push_back("nobody said \"" + line + '"');
  };
  must_say(true, "main: SIGTERM free");
  must_say(row.has("fork_loop"), "forker: SIGTERM free");
  must_say(row.has("waiter"), "waiter: stop");
  must_say(has_late_caller(row), "late: checked");
}

std::string give_up_line(const Row& row) {
  const auto limit = row.timeout == 0ms ? default_limit : row.timeout;
  return "lifetime_probe: cleanup: did not end within " + std::to_string(limit.count()) + " ms, given up";
}

// After the scope an exception meets the terminate handler from before the context.
bool is_said_after_scope(const std::string& line, const scene::Outcome& outcome) {
  const bool of_libstdcxx =
      line.rfind("terminate called after throwing", 0) == 0 || line.rfind("  what():", 0) == 0;
  const bool has_left_scope =
      !with_prefix(outcome.out, "main: ").empty() || with_prefix(outcome.out, "cleanup ").size() == 4;
  return of_libstdcxx && has_left_scope;
}

void check_log(const Row& row, const scene::Outcome& outcome, Lines& problems) {
  std::size_t given_up_lines = 0;
  std::size_t exceptions = 0;
  for (const std::string& line : lines_of(outcome.err)) {
    const bool exception = line.rfind("lifetime_probe: uncaught exception: broken ", 0) == 0;
    exceptions += exception ? 1 : 0;
    given_up_lines += line == give_up_line(row) ? 1 : 0;
    const bool explained = exception || line == give_up_line(row) || is_said_after_scope(line, outcome);
    if (!explained) problems.push_back("the log says \"" + line + '"');
  }
  if (given_up_lines != (row.has(Effect::hangs) ? 1 : 0)) {
    problems.push_back(std::to_string(given_up_lines) + " lines say that something was given up");
  }
  const auto most = std::count_if(row.ways.begin(), row.ways.end(),
                                  [](const Way& way) { return way.effect == Effect::aborts; });
  const bool must_say = row.first().effect == Effect::aborts && !row.together;
  if (exceptions < (must_say ? 1U : 0U) || exceptions > static_cast<std::size_t>(most)) {
    problems.push_back(std::to_string(exceptions) + " lines about an uncaught exception");
  }
}

void check_time(const Row& row, const scene::Outcome& outcome, Lines& problems) {
  if (!row.has(Effect::hangs)) return;
  const auto limit = row.timeout == 0ms ? default_limit : row.timeout;
  const bool right = outcome.took >= limit - 50ms && outcome.took <= limit + 4s * slowness;
  if (!right) problems.push_back("ended after " + std::to_string(outcome.took.count()) + " ms");
}

Lines problems_of(const Row& row, const scene::Outcome& outcome, const std::string& pidfile) {
  Lines problems;
  if (!outcome.hang.empty()) return {"hangs, " + outcome.hang};
  if (expected_ends(row).count(outcome.end.raw) == 0)
    problems.push_back("ended with " + text_of(outcome.end));
  if (scene::exists(pidfile)) problems.push_back("the pidfile is still there");
  check_cleanups(row, outcome, problems);
  check_child(row, outcome, problems);
  check_late_threads(row, outcome, problems);
  check_log(row, outcome, problems);
  check_time(row, outcome, problems);
  return problems;
}

// --- Running them

void append_to_variable(const char* name, const std::string& options) {
  const char* given = std::getenv(name);
  ::setenv(name, ((given == nullptr ? "" : given + std::string(":")) + options).c_str(), 1);
}

// The leak checks are off. A process may end at any point and leave memory. A forked child lacks the stacks
// that refer to its memory.
void prepare_sanitizers() {
  append_to_variable("ASAN_OPTIONS", "detect_leaks=0");
  append_to_variable("TSAN_OPTIONS", "atexit_sleep_ms=0:die_after_fork=0:report_thread_leaks=0");
}

// Since glibc 2.41 exit() holds a lock. A child that another thread forks meanwhile inherits the held lock,
// and can't exit. A cleanup that calls std::exit after an action has called std::exit is given up.
bool blocks_in_exit(const Row& row) {
#ifdef __GLIBC__
  constexpr bool holds_lock = __GLIBC__ > 2 || __GLIBC_MINOR__ >= 41;
#else
  constexpr bool holds_lock = false;
#endif
  const bool leaves_scope = row.first().effect == Effect::scope || row.first().effect == Effect::thrown;
  const bool forks = leaves_scope && row.has("fork_return") && row.has(Effect::exits);
  return holds_lock && (forks || (row.first().name == "exit_cleanup" && row.has("slow_exit_own")));
}

void keep_chosen(std::vector<Row>& rows) {
  std::erase_if(rows, blocks_in_exit);
  if (boost::unit_test::framework::master_test_suite().argc < 3) return;
  std::erase_if(rows,
                [](const Row& row) { return row.name().find(scene::argument(2)) == std::string::npos; });
}

void report(const Row& row, const Lines& problems, const scene::Outcome& outcome) {
  std::string text = "row \"" + row.name() + "\":";
  for (const std::string& problem : problems) text += " " + problem + ";";
  text += " after " + std::to_string(outcome.took.count()) + " ms it had said:\n";
  BOOST_ERROR(text + outcome.out + outcome.err);
}

// Runs each row DAEMONCTX_ROUNDS times, or until the row fails.
void run(std::vector<Row> rows, std::size_t at_once = busy_at_once) {
  keep_chosen(rows);
  for (int round = scene::rounds(1); round > 0 && !rows.empty(); --round) {
    const scene::Scene scene;
    std::vector<scene::Job> jobs;
    const auto pidfile = [&](std::size_t n) { return scene.path("pid" + std::to_string(n)); };
    for (std::size_t n = 0; n < rows.size(); ++n) {
      scene::Words command = rows[n].words();
      command.insert(command.begin(), {scene::probe(), pidfile(n)});
      jobs.push_back({command, scene.path("log" + std::to_string(n)), hang_limit, prepare_sanitizers});
    }
    const auto outcomes = scene::run_at_once(jobs, at_once);
    std::vector<Row> good;
    for (std::size_t n = 0; n < rows.size(); ++n) {
      const Lines problems = problems_of(rows[n], outcomes[n], pidfile(n));
      if (problems.empty()) good.push_back(rows[n]);
      else report(rows[n], problems, outcomes[n]);
    }
    rows = std::move(good);
  }
  BOOST_TEST(true);  // a row that was not chosen is no fault
}

}  // namespace

BOOST_AUTO_TEST_CASE(one_way_alone) { run(alone()); }

BOOST_AUTO_TEST_CASE(a_second_way_ends_during_the_cleanups) { run(pairs(late_enders)); }

BOOST_AUTO_TEST_CASE(two_ways_end_at_the_same_moment) { run(pairs_together()); }

BOOST_AUTO_TEST_CASE(something_goes_on_during_the_end) { run(pairs(disturbances)); }

BOOST_AUTO_TEST_CASE(forks_during_the_end_of_watched_cleanups) { run(forks()); }

BOOST_AUTO_TEST_CASE(a_second_way_ends_and_a_third_goes_on) { run(triples()); }

BOOST_AUTO_TEST_CASE(three_ways_end) { run(three_enders()); }

BOOST_AUTO_TEST_CASE(a_cleanup_that_hangs_is_given_up_after_the_cleanup_timeout) {
  run(given_up(short_timeout), waiting_at_once);
}

BOOST_AUTO_TEST_CASE(a_cleanup_that_hangs_is_given_up_after_five_seconds) {
  run(given_up(0ms), waiting_at_once);
}
