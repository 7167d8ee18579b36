// SPDX-License-Identifier: BSL-1.0

// A forked child of a daemon may call every member and function, without any effect on its parent.
//
// test/probe/forked_members_probe.cpp has a row for each public member and free function, and
// check_members.py compares those rows with the shared library and the headers. Each row is called in a child
// forked
// - in the service, before and after it is ready; in a worker's service;
// - in a signal action, in wait() and on the library's own thread;
// - in a cleanup;
// - while other threads of the parent hold each lock as often as they can.
//
// The table promises of every row:
// - The call returns at once, and std::exit after it ends the child with exit code 0.
// - Nothing reaches the service manager, and nothing reaches the readiness descriptor.
// - Descriptors 1 and 2 of the child are open on the same files as before, and nothing is written to them.
// - No callable runs: no cleanup, reload, action or error handler.
// - The child has no descriptor of the pidfile. Signals that the daemon has mapped have their default action,
//   and the child's mask is that of the thread that forked.
// - wait*() is true, stop_requested() is false, a Cleanup can be neither released nor run, signal_fd() is -1.
// - In the parent the pidfile, its locks, the dispositions, the mask and an Asio loop are as before; its own
//   cleanup runs once, at the end.
//
// before_drop, on_launched and on_worker_end have no context to call. A child that is forked there, or in the
// other places, may outlive the daemon. Such a child delays no caller, not even that of a failed start. The
// next start works.
//
// Usage: test_forked_members [BOOST OPTION...] -- PROBE
//   DAEMONCTX_ROUNDS  how often each row runs while other threads hold the locks; 5 at least

#define BOOST_TEST_MODULE forked_members
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <daemonctx/controller.hpp>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "listener.hpp"
#include "scene.hpp"

namespace data = boost::unit_test::data;
using daemonctx::Controller;
using daemonctx::DaemonState;

namespace {

const std::string mark = "from a child";  // in every text that a child tries to send

void append_to_variable(const char* name, const std::string& options) {
  const char* given = std::getenv(name);
  ::setenv(name, ((given == nullptr ? "" : given + std::string(":")) + options).c_str(), 1);
}

// The leak check is off, since a child may end at any point and leave memory.
void prepare_sanitizers() {
  append_to_variable("ASAN_OPTIONS", "detect_leaks=0");
  append_to_variable("TSAN_OPTIONS", "atexit_sleep_ms=0:die_after_fork=0:report_thread_leaks=0");
}

// --- The running probe

struct ProbeOutput {
  std::vector<std::string> lines;
  std::vector<scene::Datagram> datagrams;  // to the service manager
  std::string err;
  scene::End end;
  bool hung = false;
};

/// The running probe with its three streams, and the service manager that the probe can notify.
class RunningProbe {
 public:
  RunningProbe(const scene::Words& command, const std::string& error_file, const scene::Listener& manager)
      : error_file_(error_file), manager_(manager) {
    ::signal(SIGPIPE, SIG_IGN);  // the last answer may come when the probe has ended
    std::array<int, 2> in{};
    std::array<int, 2> out{};
    BOOST_REQUIRE((::pipe2(in.data(), O_CLOEXEC) == 0 && ::pipe2(out.data(), O_CLOEXEC) == 0));
    pid_ = ::fork();
    if (pid_ == 0) exec_probe(command, in[0], out[1]);
    ::close(in[0]);
    ::close(out[1]);
    input_of_probe_ = in[1];
    output_of_probe_ = out[0];
  }
  ~RunningProbe() {
    ::close(input_of_probe_);
    ::close(output_of_probe_);
  }
  RunningProbe(const RunningProbe&) = delete;
  RunningProbe& operator=(const RunningProbe&) = delete;

  pid_t pid() const { return pid_; }

  /// Runs until the probe ends. Passes each line to `handle_line`, and answers it so that the probe goes on.
  ProbeOutput run_to_end(const std::function<void(const std::string&)>& handle_line) {
    ProbeOutput output;
    while (read_output(output, handle_line)) {
    }
    if (output.hung) ::kill(pid_, SIGKILL);
    output.end = scene::await_end(pid_);
    output.err = scene::contents(error_file_);
    return output;
  }

 private:
  [[noreturn]] void exec_probe(const scene::Words& command, int in, int out) const {
    const int err = ::open(error_file_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    ::dup2(in, STDIN_FILENO);
    ::dup2(out, STDOUT_FILENO);
    ::dup2(err, STDERR_FILENO);
    scene::begin_afresh();
    prepare_sanitizers();
    ::setenv("NOTIFY_SOCKET", manager_.name().c_str(), 1);
    std::vector<char*> words;
    for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    ::execv(words[0], words.data());
    ::_exit(127);
  }

  // False at the end of the output, or if nothing comes within `scene::patience`.
  bool read_output(ProbeOutput& output, const std::function<void(const std::string&)>& handle_line) {
    std::array<pollfd, 2> events{{{output_of_probe_, POLLIN, 0}, {manager_.fd(), POLLIN, 0}}};
    const auto patience = std::chrono::milliseconds(scene::patience).count();
    output.hung = ::poll(events.data(), events.size(), static_cast<int>(patience)) == 0;
    if (output.hung) return false;
    std::array<char, 4096> buffer{};
    const auto size = events[0].revents == 0 ? 1 : ::read(output_of_probe_, buffer.data(), buffer.size());
    for (auto each = manager_.next(); each.pid != 0; each = manager_.next())
      add_if_new(each, output.datagrams);
    if (events[0].revents == 0) return true;
    if (size <= 0) return false;
    unread_.append(buffer.data(), static_cast<std::size_t>(size));
    handle_lines(output, handle_line);
    return true;
  }

  // Keeps each message once: a daemon under load repeats the same ones.
  static void add_if_new(const scene::Datagram& datagram, std::vector<scene::Datagram>& datagrams) {
    const bool known = std::any_of(datagrams.begin(), datagrams.end(), [&](const scene::Datagram& each) {
      return each.text == datagram.text && each.pid == datagram.pid;
    });
    if (!known) datagrams.push_back({datagram.text, datagram.pid, datagram.uid});
  }

  void handle_lines(ProbeOutput& output, const std::function<void(const std::string&)>& handle_line) {
    for (auto end = unread_.find('\n'); end != std::string::npos; end = unread_.find('\n')) {
      output.lines.push_back(unread_.substr(0, end));
      unread_.erase(0, end + 1);
      handle_line(output.lines.back());
      if (::write(input_of_probe_, "\n", 1) == -1) return;  // the probe has ended, and so will its output
    }
  }

  std::string error_file_;
  const scene::Listener& manager_;
  pid_t pid_ = -1;
  int input_of_probe_ = -1;
  int output_of_probe_ = -1;
  std::string unread_;
};

// --- The members

struct Verdict {
  std::string name;
  pid_t child = 0;
  std::string problem;
};

std::optional<Verdict> verdict_in(const std::string& line) {
  const auto first = line.find('\t');
  const auto second = line.find('\t', first + 1);
  if (first == std::string::npos || second == std::string::npos) return {};
  return Verdict{line.substr(0, first), std::stoi(line.substr(first + 1)), line.substr(second + 1)};
}

std::size_t number_of_rows() {
  const std::string list = scene::Scene::run({scene::probe(), "--list"}, prepare_sanitizers).out;
  return static_cast<std::size_t>(std::count(list.begin(), list.end(), '\n'));
}

/// A daemon that calls every row at one site.
struct Daemon {
  scene::Scene scene;
  std::string pidfile = scene.path("pid");
  scene::Listener manager{scene.path("manager")};
  std::string site;
  pid_t pid = 0;
  std::string first_contents = {};
  std::set<std::string> failed = {};
  std::map<pid_t, std::string> row_of = {};

  explicit Daemon(std::string name) : site(std::move(name)) {}

  void fail(const std::string& row, const std::string& problem) {
    failed.insert(row);
    BOOST_ERROR(row + " in a child (" + site + "): " + problem);
  }

  DaemonState expected_state() const {
    if (site == "before_drop" || site == "starting") return DaemonState::starting;
    return site == "cleanup" ? DaemonState::stopping : DaemonState::running;
  }

  // Checks after each row what another process sees.
  void check_pidfile(const std::string& row) {
    const auto status = Controller(pidfile).status();
    if (site == "on_launched") pid = status.pid;  // the probe is the caller
    if (first_contents.empty()) first_contents = scene::contents(pidfile);
    const bool holds = status.state == expected_state() && status.pid == pid;
    if (!holds) fail(row, std::string("afterwards the daemon is ") + to_string(status.state));
    if (scene::contents(pidfile) != first_contents) fail(row, "the pidfile has changed");
  }

  void handle_line(const std::string& line) {
    const auto verdict = verdict_in(line);
    if (!verdict) return;
    row_of[verdict->child] = verdict->name;
    if (!verdict->problem.empty()) fail(verdict->name, verdict->problem);
    check_pidfile(verdict->name);
  }

  // A worker's child can send only to the monitor, which may pass the message on.
  void check_datagrams(const std::vector<scene::Datagram>& datagrams) {
    for (const scene::Datagram& each : datagrams) {
      const auto row = row_of.find(each.pid);
      const std::string name = row == row_of.end() ? std::to_string(each.pid) : row->second;
      const bool harmless = each.pid == pid && each.text.find(mark) == std::string::npos;
      if (!harmless) fail(name, "the service manager is told \"" + each.text + '"');
      if (expected_state() == DaemonState::starting && each.text.find("READY=1") != std::string::npos)
        fail(name, "the service manager is told of readiness");
    }
  }

  void run() {
    const int times = site == "hammered" ? scene::rounds(5) : 1;
    RunningProbe probe({scene::probe(), "members", pidfile, site, std::to_string(times)}, scene.path("log"),
                       manager);
    pid = probe.pid();
    const ProbeOutput output = probe.run_to_end([this](const std::string& line) { handle_line(line); });
    BOOST_TEST(!output.hung);
    BOOST_TEST(output.end.exited(0), output.end);
    BOOST_TEST(output.err == "");
    BOOST_TEST(scene::contents(pidfile + ".log") == "");
    const std::size_t cleanups = site == "on_launched" ? 0 : 1;  // on_launched: printed to another output
    BOOST_TEST(std::count(output.lines.begin(), output.lines.end(), "cleanup") == cleanups);
    BOOST_TEST(output.lines.size() == number_of_rows() + cleanups);
    if (site == "on_launched") BOOST_TEST(scene::eventually([&] { return !scene::exists(pidfile); }));
    check_datagrams(output.datagrams);
    BOOST_TEST(!scene::exists(pidfile));
  }
};

#if defined(__SANITIZE_ADDRESS__)
constexpr bool is_address_sanitized = true;
#elif defined(__has_feature)
constexpr bool is_address_sanitized = __has_feature(address_sanitizer);
#else
constexpr bool is_address_sanitized = false;
#endif

// AddressSanitizer's allocator does not take its locks for a fork. If other threads allocate meanwhile, the
// child may hang in the allocator.
std::vector<std::string> sites() {
  std::vector<std::string> all = {"before_drop", "on_launched", "starting", "ready",         "action",
                                  "own_thread",  "cleanup",     "worker",   "on_worker_end", "unseen"};
  if (!is_address_sanitized) all.emplace_back("hammered");
  return all;
}

// --- Children that outlive their daemon

/// A daemon that was started with a hook which leaves a child behind.
struct DaemonWithChild {
  scene::Scene scene;
  std::string pidfile = scene.path("pid");

  scene::Result start(const std::string& hook, const scene::Words& more = {}) const {
    scene::Words words = {scene::probe(), "outlive", pidfile, hook};
    words.insert(words.end(), more.begin(), more.end());
    return scene::Scene::run(words, prepare_sanitizers);
  }

  std::string state() const { return to_string(Controller(pidfile).status().state); }

  bool becomes(const std::string& wanted) const {
    return scene::eventually([&] { return state() == wanted; });
  }

  // Waits for the child. Checks that the child lives, or does not, and held no descriptor of the pidfile.
  pid_t child(std::optional<bool> lives = true) const {
    BOOST_REQUIRE(scene::eventually([&] { return scene::exists(pidfile + ".child"); }));
    std::istringstream told(scene::contents(pidfile + ".child"));
    pid_t pid = 0;
    std::string held;
    told >> pid;
    std::getline(told, held);
    std::getline(told, held);
    BOOST_TEST(held == "");
    if (lives) BOOST_TEST((::kill(pid, 0) == 0) == *lives);
    return pid;
  }

  void stop() const {
    const pid_t daemon = scene::pid_in(pidfile);
    BOOST_REQUIRE(daemon > 0);
    ::kill(daemon, SIGTERM);
    scene::await_end(daemon);  // no check: between two workers a crashed one decides the exit code
  }

  // The pidfile stays. A process that has it open could still hold a lock.
  void kill() const {
    const pid_t daemon = scene::pid_in(pidfile);
    BOOST_REQUIRE(daemon > 0);
    ::kill(daemon, SIGKILL);
    BOOST_TEST(scene::await_end(daemon).killed_by(SIGKILL));
  }

  void next_start_works() const {
    const auto next = start("none");
    BOOST_TEST(next.err == "");
    BOOST_REQUIRE(next.end.exited(0));
    BOOST_TEST(state() == "running");
    stop();
    BOOST_TEST(state() == "stopped");
  }
};

const std::vector<std::string> hooks = {
    "service",
    "action",
    "cleanup",
    "before_drop",
    "on_launched",
    "respawn:service",
    "respawn:cleanup",
    "respawn:action",
    "respawn:before_drop",
    "respawn:on_launched",
    "respawn:on_worker_end",
};

bool forks_at_end(const std::string& hook) { return hook.find("cleanup") != std::string::npos; }

// Hooks of a daemon that never becomes ready.
const std::vector<std::string> failing_hooks = {
    "before_drop_that_throws",
    "before_drop_that_dies",
    "respawn:before_drop_that_throws",
    "respawn:before_drop_that_dies",
};

}  // namespace

BOOST_DATA_TEST_CASE(every_member_is_inert_in_a_child_forked_in, data::make(sites())) {
  Daemon(sample).run();
}

BOOST_DATA_TEST_CASE(a_child_may_outlive_a_daemon_that_left_it_in, data::make(hooks)) {
  const DaemonWithChild daemon;
  const auto result = daemon.start(sample);
  BOOST_TEST(result.err == "");
  BOOST_REQUIRE(result.end.exited(0));
  if (!forks_at_end(sample)) daemon.child();
  daemon.stop();
  daemon.child();
  BOOST_TEST(daemon.state() == "stopped");
  daemon.next_start_works();
  daemon.child();
}

BOOST_DATA_TEST_CASE(a_child_may_outlive_a_daemon_that_is_killed_and_left_it_in, data::make(hooks)) {
  if (forks_at_end(sample)) return;  // a killed daemon runs no cleanup
  const DaemonWithChild daemon;
  BOOST_REQUIRE(daemon.start(sample).end.exited(0));
  daemon.child();
  daemon.kill();
  // The worker dies with its monitor, but perhaps not at once.
  BOOST_TEST(daemon.becomes("stale"));
  daemon.next_start_works();
  daemon.child();
}

BOOST_DATA_TEST_CASE(no_child_outlives_a_start_that_failed_in, data::make(failing_hooks)) {
  const DaemonWithChild daemon;
  BOOST_TEST(daemon.start(sample).end.exited(1));
  daemon.child(false);
  BOOST_TEST(daemon.state() == "stopped");
  daemon.next_start_works();
}

// The caller had a child before the start, and can't tell whose child it finds. It ends the one that was left
// only if its parent still lives then.
BOOST_DATA_TEST_CASE(a_start_beside_another_child_leaves_no_lock_if_it_failed_in, data::make(failing_hooks)) {
  const DaemonWithChild daemon;
  const auto result = daemon.start(sample, {"beside"});
  BOOST_TEST(result.err != "");
  BOOST_TEST(result.end.exited(1), result.end);
  daemon.child({});
  BOOST_TEST(daemon.state() == "stopped");
  daemon.next_start_works();
}
