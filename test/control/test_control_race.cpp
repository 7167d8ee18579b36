// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE control_race
#define BOOST_TEST_NO_MAIN

// Two operators race over one service, in a pid namespace of their own. Process 1 of the namespace adopts and
// reaps every daemon. At once it gives the daemon's pid to a bystander: a process that nobody may signal.

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/filesystem/operations.hpp>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <regex>
#include <set>
#include <sstream>
#include <stdexcept>

#include "stage.hpp"

using scene::Scene;

namespace {

namespace fs = boost::filesystem;

constexpr int skipped = 77;  // the exit code of a skipped test, for meson

// ---- A pid namespace of the test's own.

// Chooses the pid of the next process, unless another fork comes first.
bool choose_next_pid(pid_t pid) {
  std::ofstream last("/proc/sys/kernel/ns_last_pid");
  return static_cast<bool>(last << pid - 1 << std::flush);
}

// For process 1 of a namespace: mounts the namespace's /proc, and checks that pids can be chosen.
bool set_up_namespace() {
  constexpr unsigned long usual_flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  return ::unshare(CLONE_NEWNS) == 0 && scene::keep_proc_mounts_private() &&
         ::mount("proc", "/proc", "proc", usual_flags, nullptr) == 0 && choose_next_pid(1000);
}

// Forks process 1 of a new pid namespace. When process 1 ends, the kernel kills all others there. Returns -1,
// with errno, if not permitted.
pid_t fork_into_namespace(const std::function<int()>& life) {
  const int own = ::open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
  pid_t first = -1;
  if (::unshare(CLONE_NEWPID) == 0) first = ::fork();
  if (first == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::_exit(life());
  }
  const int error = errno;
  ::setns(own, CLONE_NEWPID);  // for the test's later children
  ::close(own);
  errno = error;
  return first;
}

// The reason why no such namespace can be made here; empty if one can.
std::string why_no_namespace() {
  const pid_t first = fork_into_namespace([] { return set_up_namespace() ? 0 : errno; });
  if (first == -1) return std::strerror(errno);
  int status = 0;
  ::waitpid(first, &status, 0);
  return status == 0 ? "" : std::strerror(WEXITSTATUS(status));
}

// ---- The processes in the namespace share the service, and the channel to the test.

class ServiceUnderTest {
 public:
  explicit ServiceUnderTest(const Scene& scene)
      : channel_(scene.path("channel")), folder_(fs::canonical(scene.folder())) {}

  std::string pidfile() const { return (folder_ / "pid").string(); }

  scene::Words command(const std::string& action, const scene::Words& options = {}) const {
    scene::Words words = {program_, action, "--pidfile", pidfile()};
    if (action != "status") words.emplace_back("--verbose");
    if (action == "start" || action == "restart")
      words.insert(words.end(), {"--witness", (folder_ / "witness").string()});
    words.insert(words.end(), options.begin(), options.end());
    return words;
  }

  void say(std::string line) const {
    std::replace(line.begin(), line.end(), '\n', ';');
    line += '\n';
    const int channel = ::open(channel_.c_str(), O_WRONLY | O_CLOEXEC);
    if (::write(channel, line.data(), line.size()) == -1) ::_exit(1);
    ::close(channel);
  }

  void tell(const std::string& what, const scene::Result& result) const {
    std::ostringstream line;
    line << what << ", " << result.end << ": " << result.out << result.err;
    say(line.str());
  }

  // Runs an action of the service and reports its result. Returns what the action printed.
  std::string run(const std::string& action, const std::string& when = {},
                  const scene::Words& options = {}) const {
    const auto result = Scene::run(command(action, options));
    tell(when + action, result);
    return result.out;
  }

  // Runs the part of one process. Exceptions are reported, and not thrown. Returns the process's exit code.
  int run_part(const std::function<void()>& part) const {
    try {
      part();
      return 0;
    } catch (const std::exception& error) {
      say(std::string("broke off: ") + error.what());
      return 1;
    }
  }

 private:
  std::string channel_;
  fs::path folder_;
  std::string program_ = scene::probe();
};

using Random = std::mt19937;

// Runs each action once in each cycle. Daemons start and end slowly, so other actions can get in between.
void operate(const ServiceUnderTest& service, Random random, int cycles) {
  const auto up_to = [&](const std::string& wish) { return wish + std::to_string(random() % 8); };
  std::array<std::string, 5> actions = {"start", "reload", "restart", "stop", "status"};
  for (; cycles > 0; --cycles) {
    std::shuffle(actions.begin(), actions.end(), random);
    for (const std::string& action : actions) {
      const bool starts = action == "start" || action == "restart";
      service.run(action, {},
                  starts ? scene::Words{"--before-ready", up_to("sleep:"), "--afterwards", up_to("slow:")}
                         : scene::Words());
    }
  }
}

pid_t pid_named_in(const std::string& text) {
  const auto at = text.find("pid ");
  return at == std::string::npos ? 0 : std::stoi(text.substr(at + 4));
}

fs::directory_iterator descriptors_of(pid_t pid) {
  return fs::directory_iterator("/proc/" + std::to_string(pid) + "/fd");
}

std::string count_descriptors(pid_t pid) {
  return "descriptors: " + std::to_string(std::distance(descriptors_of(pid), fs::directory_iterator()));
}

// True if the child has ended and is not reaped yet.
bool has_ended(pid_t child) {
  siginfo_t end{};
  return ::waitid(P_PID, static_cast<id_t>(child), &end, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         end.si_pid == child;
}

// A command that ptrace stops before and after each of its system calls.
class TracedCommand {
 public:
  explicit TracedCommand(const scene::Words& command)
      : running_(Scene::start(command, [] {
          scene::forgo_leak_check();  // the leak check would trace the command, too
          ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
        })) {
    await_stop();
    ::ptrace(PTRACE_SETOPTIONS, running_.pid(), nullptr, PTRACE_O_TRACEEXIT);
  }

  // Runs the command until it has the pidfile open, and `steps` stops further. False if the command is done
  // with that daemon before.
  bool advance(const std::string& pidfile, pid_t daemon, int steps) {
    while (!exits_) {
      const bool open = has_open(pidfile);
      if (open && steps-- == 0) return true;
      if (!open && has_ended(daemon)) return false;
      ::ptrace(PTRACE_SYSCALL, running_.pid(), nullptr, nullptr);
      await_stop();
    }
    return false;
  }

  scene::Result let_go() {
    ::ptrace(PTRACE_DETACH, running_.pid(), nullptr, nullptr);
    return running_.finish();
  }

 private:
  void await_stop() {
    int status = 0;
    ::waitpid(running_.pid(), &status, 0);
    if (!WIFSTOPPED(status)) throw std::runtime_error("a command that was to be held up was killed");
    exits_ = status >> 8 == (SIGTRAP | PTRACE_EVENT_EXIT << 8);
  }

  bool has_open(const std::string& file) const {
    const fs::directory_iterator all = descriptors_of(running_.pid());
    return std::any_of(begin(all), end(all), [&](const auto& one) {
      boost::system::error_code ignored;
      return fs::read_symlink(one.path(), ignored).string().rfind(file, 0) == 0;
    });
  }

  scene::Running running_;
  bool exits_ = false;
};

// Process 1 of the namespace. It blocks all signals, and bystanders inherit the mask: a signal to a bystander
// stays pending.
class NamespaceInit {
 public:
  explicit NamespaceInit(const ServiceUnderTest& service) : service_(service) {
    sigset_t all;
    sigfillset(&all);
    ::sigprocmask(SIG_SETMASK, &all, nullptr);
  }

  void race(Random& random, int cycles) {
    for (int n = 0; n < 2; ++n) {
      const Random own(random());
      operators_.insert(fork_child([&] { operate(service_, own, cycles); }));
    }
    while (!operators_.empty()) {
      await_an_end();
      reap();
    }
  }

  // No operator is at work: the daemon that `status` names runs, and no other process.
  void check_at_rest(const std::string& when) {
    const pid_t named = pid_named_in(service_.run("status", when));
    const std::set<pid_t> expected = named == 0 ? std::set<pid_t>() : std::set{named};
    const bool as_named = scene::eventually([&] {
      reap();
      return processes() == expected;
    });
    if (!as_named) service_.say("there is a process too many, or too few");
    service_.run("reload", when);  // after a reload the daemon's start is over, internal steps included
    if (as_named && named != 0) service_.say(count_descriptors(named));
    dismiss_bystanders();
  }

  // Holds a controller up `steps` stops after it has opened the pidfile. Meanwhile the daemon ends, and a
  // bystander gets the daemon's pid. False if the controller was done before.
  bool hold_up(const std::string& action, int steps, int signal) {
    service_.run("start", "held up: ");
    const pid_t daemon = scene::pid_in(service_.pidfile());
    if (daemon == 0) throw std::runtime_error("there is no daemon to be found");
    TracedCommand controller(service_.command(action));
    const bool held = controller.advance(service_.pidfile(), daemon, steps);
    ::kill(daemon, signal);
    const bool taken = scene::eventually([&] {
      reap();
      return bystanders_.count(daemon) == 1;
    });
    if (!taken) service_.say("no bystander has the daemon's number");
    service_.tell("held up: " + action, controller.let_go());
    service_.run("stop", "held up: ");
    dismiss_bystanders();
    return held;
  }

 private:
  pid_t fork_child(const std::function<void()>& part) const {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(service_.run_part(part));
    if (child == -1) throw std::runtime_error("fork");
    return child;
  }

  static void await_an_end() {
    sigset_t child_ended;
    sigemptyset(&child_ended);
    sigaddset(&child_ended, SIGCHLD);
    const timespec patience{scene::patience.count(), 0};
    if (::sigtimedwait(&child_ended, nullptr, &patience) == -1) throw std::runtime_error("nothing happens");
  }

  void reap() {
    scene::End end;
    for (pid_t pid = 0; (pid = ::waitpid(-1, &end.raw, WNOHANG)) > 0;) {
      std::ostringstream line;
      line << "pid " << pid << " ended, " << end;
      if (operators_.erase(pid) != 0) {
        if (!end.exited(0)) service_.say("operator: " + line.str());
      } else if (bystanders_.erase(pid) != 0) {
        throw std::runtime_error("a bystander of " + line.str());
      } else {
        const bool taken = start_bystander(pid);
        service_.say("daemon: " + line.str() + (taken ? ", its number is taken" : ""));
      }
    }
  }

  // Starts a bystander with this pid, unless a command of the service already has the pid.
  bool start_bystander(pid_t number) {
    for (int attempt = 0; attempt < 20; ++attempt) {
      if (!choose_next_pid(number)) throw std::runtime_error("ns_last_pid");
      const pid_t child = fork_child(stand_by);
      if (child == number) return bystanders_.insert(child).second;
      ::kill(child, SIGKILL);
      ::waitpid(child, nullptr, 0);
      if (::kill(number, 0) == 0) return false;
    }
    return false;
  }

  [[noreturn]] static void stand_by() {
    ::setsid();
    for (;;) ::pause();
  }

  void dismiss_bystanders() {
    static const std::regex no_signal("SigPnd:\t0+\nShdPnd:\t0+\n");
    while (!bystanders_.empty()) {
      const pid_t bystander = bystanders_.extract(bystanders_.begin()).value();
      const std::string name = std::to_string(bystander);
      if (!std::regex_search(scene::contents("/proc/" + name + "/status"), no_signal)) {
        throw std::runtime_error("a bystander of pid " + name + " was sent a signal");
      }
      ::kill(bystander, SIGKILL);
      ::waitpid(bystander, nullptr, 0);
    }
  }

  std::set<pid_t> processes() const {
    std::set<pid_t> all;
    for (const auto& entry : fs::directory_iterator("/proc")) {
      const std::string name = entry.path().filename().string();
      if (name.find_first_not_of("0123456789") == std::string::npos) all.insert(std::stoi(name));
    }
    all.erase(::getpid());
    for (const pid_t bystander : bystanders_) all.erase(bystander);
    return all;
  }

  const ServiceUnderTest& service_;
  std::set<pid_t> operators_;
  std::set<pid_t> bystanders_;
};

// ---- The test judges the reports.

// Each report must be one of these. N stands for any number, T for any time.
const std::set<std::string> legitimate = {
    "start, status 0: configured 1;probe: started, pid N;",
    "start, status 1: configured 1;probe: Already running, pid N;",
    "restart, status 0: configured 1;probe: started, pid N;",
    "restart, status 0: configured 1;probe: stopped, pid N, after N ms;probe: started, pid N;",
    "restart, status 1: configured 1;probe: another start won: already running, pid N (pidfile \"FILE\");",
    "restart, status 1: configured 1;probe: stopped, pid N, after N ms;"
    "probe: another start won: already running, pid N (pidfile \"FILE\");",
    "stop, status 0: probe: stopped, pid N, after N ms;",
    "stop, status 7: probe: Not running;",
    "reload, status 0: probe: reloaded, pid N;",
    "reload, status 1: probe: cannot reload the daemon of \"FILE\": it ended meanwhile;",
    "reload, status 7: probe: Not running;",
    "status, status 0: probe: running, pid N, since T;",
    "status, status 0: probe: running, pid N;",  // the daemon ended before its start time was read
    "status, status 0: probe: starting, pid N, since T;",
    "status, status 0: probe: starting, pid N;",
    "status, status 0: probe: starting, pid not known;",
    "status, status 0: probe: stopping, pid N, since T;",
    "status, status 0: probe: stopping, pid N;",
    "status, status 3: probe: not running;",
    "daemon: pid N ended, status 0, its number is taken",
    "daemon: pid N ended, status 0",
    "at rest: status, status 0: probe: running, pid N, since T;",
    "at rest: status, status 3: probe: not running;",
    "at rest: reload, status 0: probe: reloaded, pid N;",
    "at rest: reload, status 7: probe: Not running;",
    "finally: stop, status 0: probe: stopped, pid N, after N ms;",
    "finally: stop, status 7: probe: Not running;",
    "finally: status, status 3: probe: not running;",
    "finally: reload, status 7: probe: Not running;",
    "held up: start, status 0: configured 1;probe: started, pid N;",
    "held up: stop, status 0: probe: stopped, pid N, after N ms;",
    "held up: stop, status 150: probe: stopped, pid N, after N ms: it was killed by SIGKILL;",
    "held up: stop, status 7: probe: Not running;",
    "held up: reload, status 0: probe: reloaded, pid N;",
    "held up: reload, status 1: probe: cannot reload the daemon of \"FILE\": it ended meanwhile;",
    "held up: reload, status 7: probe: Not running;",
    "held up: restart, status 0: configured 1;probe: started, pid N;",
    "held up: restart, status 0: configured 1;probe: stopped, pid N, after N ms;probe: started, pid N;",
    "held up: restart, status 0: configured 1;probe: started, pid N;"
    "probe: stopped, pid N, after N ms: it was killed by SIGKILL;",  // on standard error
    "daemon: pid N ended, signal 9, its number is taken",
};

class Tally {
 public:
  explicit Tally(std::string pidfile) : pidfile_(std::move(pidfile)) {}

  void add(const std::string& line) {
    if (line.rfind("descriptors: ", 0) == 0) {
      descriptors_.insert(line);
      return;
    }
    const std::string kind = kind_of(line);
    BOOST_TEST(legitimate.count(kind) == 1U, line);
    ++counts_[kind];
    const auto start = line.find("started, pid ");
    if (start != std::string::npos) started_.insert(pid_named_in(line.substr(start)));
    if (line.rfind("daemon: ", 0) == 0) ended_.insert(pid_named_in(line));
  }

  void print() const {
    for (const auto& [kind, count] : counts_) std::cout << count << " x " << kind << std::endl;
  }

  // Every started daemon has ended, and no other. Every daemon has the same number of descriptors.
  void check() const {
    BOOST_TEST(started_ == ended_, boost::test_tools::per_element());
    BOOST_TEST(descriptors_.size() <= 1U);
  }

  int count(const std::string& kind) const { return counts_.count(kind) == 0 ? 0 : counts_.at(kind); }

 private:
  std::string kind_of(std::string line) const {
    const auto at = line.find(pidfile_);
    if (at != std::string::npos) line.replace(at, pidfile_.size(), "FILE");
    static const std::regex number(R"((pid|after) \d+)");
    static const std::regex time(R"(since [-: \d]+)");
    return std::regex_replace(std::regex_replace(line, number, "$1 N"), time, "since T");
  }

  std::string pidfile_;
  std::map<std::string, int> counts_;
  std::set<std::string> descriptors_;
  std::multiset<pid_t> started_;
  std::multiset<pid_t> ended_;
};

// Runs `part` in a namespace of its own, stops the service, and returns the tally of all reports.
Tally run_in_namespace(const std::function<void(NamespaceInit&)>& part) {
  Scene scene;
  const ServiceUnderTest service(scene);
  const pid_t first = fork_into_namespace([&] {
    const int status = service.run_part([&] {
      if (!set_up_namespace()) throw std::runtime_error("no namespace");
      NamespaceInit init(service);
      part(init);
      service.run("stop", "finally: ");
      init.check_at_rest("finally: ");
    });
    service.say("the end");
    return status;
  });
  BOOST_REQUIRE(first > 0);
  Tally tally(service.pidfile());
  for (std::string line = scene.next(); line != "the end"; line = scene.next()) tally.add(line);
  BOOST_TEST(scene::await_end(first).exited(0));
  BOOST_TEST(!scene::exists(service.pidfile()));
  tally.print();
  return tally;
}

int rounds() { return scene::rounds(std::stoi(scene::argument(2))); }

// A new seed each time, unless the command line gives one as the fourth argument.
unsigned seed() {
  const bool given = boost::unit_test::framework::master_test_suite().argc > 4;
  const unsigned seed =
      given ? static_cast<unsigned>(std::stoul(scene::argument(4))) : std::random_device()();
  std::cout << "seed " << seed << std::endl;
  return seed;
}

}  // namespace

BOOST_AUTO_TEST_CASE(racing_operators_leave_one_daemon_or_none_and_signal_no_bystander) {
  Random random(seed());
  constexpr int batch = 10;
  const Tally tally = run_in_namespace([&](NamespaceInit& init) {
    for (int left = rounds(); left > 0; left -= batch) {
      init.race(random, batch / 2);
      init.check_at_rest("at rest: ");
    }
  });
  tally.check();
  BOOST_TEST(tally.count("daemon: pid N ended, status 0, its number is taken") > rounds() / 4);
}

BOOST_AUTO_TEST_CASE(a_controller_signals_no_bystander_wherever_it_is_held_up) {
  if (scene::argument(3) == "fallbacks") return;  // only a pidfd makes a controller as safe as this
  const int stride = std::max(200 / rounds(), 1);
  run_in_namespace([&](NamespaceInit& init) {
    for (const int signal : {SIGTERM, SIGKILL}) {  // after SIGKILL the pidfile stays
      for (const std::string action : {"stop", "reload", "restart"}) {
        for (int steps = 0; init.hold_up(action, steps, signal); steps += stride) {
        }
      }
    }
  });
}

BOOST_AUTO_TEST_CASE(reloads_that_race_leave_no_descriptor_behind) {
  Scene scene;
  const ServiceUnderTest service(scene);
  const auto run = [&](const std::string& action) {
    return Scene::run(service.command(action)).end.exited(0);
  };
  BOOST_TEST((run("start") && run("reload")));
  const pid_t daemon = scene::pid_in(service.pidfile());
  const std::string after_the_first = count_descriptors(daemon);
  for (int left = rounds(); left > 0; --left) {
    auto one = Scene::start(service.command("reload"));
    auto other = Scene::start(service.command("reload"));
    BOOST_TEST(one.finish().end.exited(0));
    BOOST_TEST(other.finish().end.exited(0));
  }
  BOOST_TEST(count_descriptors(daemon) == after_the_first);
  BOOST_TEST(run("stop"));
}

int main(int argc, char** argv) {
  const std::string why_not = why_no_namespace();
  if (why_not.empty()) return boost::unit_test::unit_test_main(&init_unit_test, argc, argv);
  std::cerr << "skipped, for want of a pid namespace: " << why_not << std::endl;
  return skipped;
}
