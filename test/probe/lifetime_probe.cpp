// SPDX-License-Identifier: BSL-1.0

// A daemon in the foreground that ends in up to three ways at once. test/process/test_lifetime_pairs.cpp
// lists the ways.
//
//   lifetime_probe PIDFILE [together] [chained] [timeout=MS] [scopes=N] WAY [WAY [WAY]]
//
// The first way begins the end. A way that comes "during" the end acts while cleanup 3 of 4 runs. A way that
// comes "before" the end is under way when the first one acts. With `together` all ways act at the same
// moment. Every report is one line on standard output, written by one system call.

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <daemonctx/daemon_context.hpp>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#if defined(__SANITIZE_THREAD__)
constexpr bool is_thread_sanitizer = true;
#elif defined(__has_feature)
constexpr bool is_thread_sanitizer = __has_feature(thread_sanitizer);
#else
constexpr bool is_thread_sanitizer = false;
#endif

namespace {

using namespace std::chrono_literals;
using daemonctx::DaemonContext;

constexpr int max_ways = 3;
constexpr auto linger = 20ms;       // how long a cleanup goes on after another way has begun
constexpr auto slow = 100ms;        // how long a slow action takes
constexpr int left_scope = 3;       // main's own exit code
constexpr int caught = 4;           // main's own exit code after an exception
constexpr int first_exit_code = 5;  // of the first way; the next ways have the next codes
const std::string& long_text =
    *new std::string(100, '.');  // too long for the object's own buffer; never destroyed

class Gate {
 public:
  void open() {
    open_ = 1;
    open_.notify_all();
  }
  void await() const {
    // ThreadSanitizer delivers no signal during a wait that it does not intercept.
    while (is_thread_sanitizer && !is_open()) ::poll(nullptr, 0, 1);
    open_.wait(0);
  }
  bool is_open() const { return open_ != 0; }

 private:
  std::atomic<int> open_ = 0;
};

struct Thrown {};

/// One way to end, and its position on the command line, from 0.
struct Actor {
  std::string way;
  int place = 0;
  int status() const { return first_exit_code + place; }
  int signal() const { return place == 0 ? SIGUSR1 : place == 1 ? SIGUSR2 : SIGALRM; }
};

// Nothing here is ever destroyed: other threads use it while the process ends.
struct Plan {
  std::string pidfile;
  std::vector<Actor> actors;
  bool together = false;
  bool is_chained = false;
  int scopes = 1;
  daemonctx::DaemonOptions options;
};
Plan& plan = *new Plan;
pid_t self = 0;
std::unique_ptr<DaemonContext>& owned = *new std::unique_ptr<DaemonContext>;
std::atomic<DaemonContext*> current = nullptr;  // not cleared: late callers keep the address
std::atomic<int> ready = 0;                     // ways that wait for `go`
Gate go;
Gate in_end;                            // the end is under way
Gate scope_over;                        // the scope has been left
std::mutex& forking = *new std::mutex;  // the fork loop holds it during each fork
std::array<Gate, max_ways> arrived;
std::array<Gate, max_ways> begun;  // a signal action has begun
std::array<Gate, max_ways> done;

bool is_child() { return ::getpid() != self; }

void say(const std::string& text) {
  const std::string line = (is_child() ? "child: " : "") + text + '\n';
  if (::write(STDOUT_FILENO, line.data(), line.size()) == -1) ::_exit(98);
}

DaemonContext& context() { return *current.load(); }

bool is_one_of(const std::string& way, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (way == name) return true;
  }
  return false;
}

bool comes_before(const std::string& way) {
  return way == "waiter" || way == "fork_loop" || way == "storm" || way.rfind("late_", 0) == 0 ||
         way.rfind("slow_", 0) == 0;
}
bool is_in_cleanup(const std::string& way) {
  return is_one_of(way, {"exit_cleanup", "reset_cleanup", "join_exit", "hang", "fork_return"});
}
bool is_on_own_thread(const std::string& way) {
  return is_one_of(way, {"exit_own_thread", "slow_action_own", "slow_exit_own", "reset_own"});
}
// The turn of these ways is over when a thread has taken their signal.
bool raises_signal(const std::string& way) { return is_one_of(way, {"exit_own_thread", "exit_wait_thread"}); }

// These ways return after the end, and report what they found.
bool comes_back(const std::string& way) {
  return is_one_of(way, {"waiter", "fork_loop", "slow_action_own", "slow_action_wait"}) ||
         way.rfind("late_", 0) == 0;
}

void await_turn(const Actor& actor) {
  for (const Actor& each : plan.actors) {
    if (comes_before(each.way)) arrived[each.place].await();
  }
  if (plan.together) {
    if (++ready == std::count_if(plan.actors.begin(), plan.actors.end(),
                                 [](const Actor& each) { return !comes_before(each.way); })) {
      go.open();
    }
    go.await();
  } else if (actor.place > 0) {
    in_end.await();
    if (!raises_signal(actor.way)) arrived[actor.place].open();
  }
}

// Looks at the clock after each poll(2), which a signal interrupts. sleep_for() would not end in a storm of
// signals: after each signal it begins the rest of its time anew.
void wait_a_while() {
  const auto end = std::chrono::steady_clock::now() + linger;
  while (std::chrono::steady_clock::now() < end) ::poll(nullptr, 0, 1);
}

// Called when the end is under way: lets the other ways begin, and gives them time to get as far as they can.
void let_others_act() {
  if (plan.together) return;
  in_end.open();
  for (const Actor& each : plan.actors) {
    if (each.place > 0 && !is_in_cleanup(each.way)) arrived[each.place].await();
  }
  wait_a_while();
}

std::string mask_text() {
  sigset_t mask;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  return sigismember(&mask, SIGTERM) == 0 ? "SIGTERM free" : "SIGTERM blocked";
}

// True if a signal was sent to the process and no thread has taken it yet.
bool has_pending_signals() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("ShdPnd:", 0) == 0) return line.find_first_not_of("0", 8) != std::string::npos;
  }
  return false;
}

// --- Cleanups

std::string describe(int status) {
  return WIFEXITED(status) ? "status " + std::to_string(WEXITSTATUS(status))
                           : "signal " + std::to_string(WTERMSIG(status));
}

void fork_and_return() {
  const pid_t child = ::fork();
  if (child == 0) return;
  int status = 0;
  ::waitpid(child, &status, 0);
  say("child ended, " + describe(status));
}

void act_in_cleanup(const Actor& actor, int number) {
  if (actor.way == "reset_cleanup") owned.reset();
  if (actor.way == "exit_cleanup") {
    say("cleanup " + std::to_string(number));
    std::exit(actor.status());
  }
  if (actor.way == "fork_return") return fork_and_return();
  in_end.open();
  if (actor.way == "join_exit") std::thread([&] { std::exit(actor.status()); }).join();
  while (actor.way == "hang") ::pause();
}

// A cleanup reports its number when it has done its work.
void run_cleanup(int number) {
  if (number == 3) let_others_act();
  for (const Actor& each : plan.actors) {
    if (is_in_cleanup(each.way) && number == (each.place == 0 ? 4 : 2)) act_in_cleanup(each, number);
  }
  // A child that returns from a cleanup has not run it.
  const bool forked = is_child() && number == 2;
  if (!forked) say("cleanup " + std::to_string(number));
}

// --- What other threads do

void check_ended() {
  const auto expect = [](bool holds, const char* what) {
    if (!holds) say(std::string("late: wrong: ") + what);
  };
  context().wait();
  expect(context().wait_for(1h), "wait_for");
  expect(context().wait_until(std::chrono::steady_clock::now() + 1h), "wait_until");
  expect(context().stop_requested(), "stop_requested");
  const auto cleanup = context().on_exit([] { say("late: a cleanup ran"); });
  expect(!cleanup.run_now(), "run_now");
  expect(!cleanup.release(), "release");
  context().notify_status("late");
  context().request_stop();
  context().dispatch();
  context().keep_alive();
  say("late: checked");
}

using Call = void (*)();
const std::map<std::string, Call>& calls = *new std::map<std::string, Call>{
    {"late_wait", [] { context().wait_for(1ms); }},
    {"late_on_exit", [] { context().on_exit([] {}).release(); }},
    {"late_notify_status", [] { context().notify_status("still there"); }},
    {"late_request_stop", [] { context().request_stop(); }},
    {"late_map_signal", [] { context().map_signal(SIGWINCH, daemonctx::Action::ignore); }},
    {"late_on_reload", [] { context().on_reload([] {}); }},
};

void call_late(const Actor& actor) {
  arrived[actor.place].open();
  while (!scope_over.is_open()) {
    for (const auto& [name, call] : calls) {
      if (name == actor.way || actor.way == "late_all") call();
    }
    std::this_thread::sleep_for(100us);
  }
  check_ended();
}

void wait_on_thread(const Actor& actor) {
  arrived[actor.place].open();
  const bool stops = context().wait_for(1h);
  say(stops ? "waiter: stop" : "waiter: no stop");
}

void fork_in_loop(const Actor& actor) {
  while (!scope_over.is_open()) {
    forking.lock();
    const pid_t child = ::fork();
    if (child == 0) ::_exit(0);
    forking.unlock();
    arrived[actor.place].open();
    ::waitpid(child, nullptr, 0);
  }
  say("forker: " + mask_text());
}

void send(const Actor& actor, int times) {
  in_end.await();
  for (int n = 0; n < times; ++n) {
    ::kill(self, SIGTERM);
    ::kill(self, actor.signal());
  }
  while (has_pending_signals()) std::this_thread::sleep_for(1ms);
  arrived[actor.place].open();
}

void storm(const Actor& actor) {
  arrived[actor.place].open();
  for (;;) {
    for (int n = 0; n < 20; ++n) {
      ::kill(self, SIGTERM);
      ::kill(self, actor.signal());
    }
    ::poll(nullptr, 0, 1);  // lets the other threads run
  }
}

void exit_on_thread(const Actor& actor) {
  await_turn(actor);
  std::exit(actor.status());
}

void throw_on_thread(const Actor& actor) {
  await_turn(actor);
  throw std::runtime_error("broken thread");
}

// Under ThreadSanitizer, sends the signal again until its action has begun. ThreadSanitizer drops a signal
// that the kernel gives to a thread which is just beginning or ending.
void raise_signal(const Actor& actor) {
  ::kill(self, actor.signal());
  if (!is_thread_sanitizer) return;
  std::thread([&actor] {
    for (int tries = 0; tries < 10 && !begun[actor.place].is_open(); ++tries) {
      std::this_thread::sleep_for(200ms);
      if (!begun[actor.place].is_open()) ::kill(self, actor.signal());
    }
  }).detach();
}

// The signal's action ends the process, on the library's thread or on a thread in wait().
void raise_on_thread(const Actor& actor) {
  await_turn(actor);
  raise_signal(actor);
  while (has_pending_signals()) std::this_thread::sleep_for(1ms);
  arrived[actor.place].open();
}

void exit_in_wait(const Actor& actor) {
  std::thread([&] { raise_on_thread(actor); }).detach();
  context().wait();
}

// The action runs on one of the same two threads, and opens `arrived` itself.
void raise_slow_action(const Actor& actor) {
  raise_signal(actor);
  if (is_on_own_thread(actor.way)) done[actor.place].await();
  else context().wait();
}

using ThreadWay = void (*)(const Actor&);
const std::map<std::string, ThreadWay>& thread_ways = *new std::map<std::string, ThreadWay>{
    {"exit_thread", exit_on_thread},
    {"uncaught_thread", throw_on_thread},
    {"exit_own_thread", raise_on_thread},
    {"exit_wait_thread", exit_in_wait},
    {"waiter", wait_on_thread},
    {"fork_loop", fork_in_loop},
    {"sigterm", [](const Actor& actor) { send(actor, 1); }},
    {"flood", [](const Actor& actor) { send(actor, 1000); }},
    {"storm", storm},
    {"slow_action_own", raise_slow_action},
    {"slow_action_wait", raise_slow_action},
    {"slow_exit_own", raise_slow_action},
    {"slow_exit_wait", raise_slow_action},
};

void begin_on_thread(const Actor& actor) {
  const auto found = thread_ways.find(actor.way);
  const bool is_late = actor.way.rfind("late_", 0) == 0;
  if (found == thread_ways.end() && !is_late) return;
  std::thread([&actor, way = is_late ? call_late : found->second] {
    way(actor);
    done[actor.place].open();
  }).detach();
}

// --- Signal actions

void act_slowly(const Actor& actor, const std::string& text) {
  arrived[actor.place].open();
  std::this_thread::sleep_for(slow);
  if (text != long_text) say("action: what it holds is gone");
  if (actor.way.rfind("slow_exit", 0) == 0) std::exit(actor.status());
  if (actor.way == "slow_action_own") done[actor.place].open();
}

daemonctx::SignalAction action_for(const Actor& actor) {
  if (actor.way.rfind("slow_", 0) == 0) {
    return [&actor, text = long_text](const daemonctx::SignalInfo&) {
      begun[actor.place].open();
      act_slowly(actor, text);
    };
  }
  if (is_one_of(actor.way, {"exit_action", "exit_own_thread", "exit_wait_thread"})) {
    return [&actor](const daemonctx::SignalInfo&) {
      begun[actor.place].open();
      std::exit(actor.status());
    };
  }
  if (actor.way == "reset_action" || actor.way == "reset_own") {
    return [&actor](const daemonctx::SignalInfo&) {
      begun[actor.place].open();
      owned.reset();
      done[actor.place].open();
    };
  }
  return [](const daemonctx::SignalInfo&) {};
}

// --- What the main thread does

void throw_broken(const char* text) { throw std::runtime_error(text); }
void throw_uncaught() noexcept { throw_broken("broken main"); }

void exit_in_action(const Actor& actor) {
  raise_signal(actor);
  context().wait();
  for (;;) ::pause();  // the action runs on another thread
}

// The action destroys the context in which it runs.
void leave_after_action(const Actor& actor) {
  raise_signal(actor);
  current.load()->wait();
}

void leave_after_sigterm() {
  ::kill(self, SIGTERM);
  context().wait();
}

void act_on_main(const Actor& actor) {
  await_turn(actor);
  if (actor.way == "throw") throw Thrown();
  if (actor.way == "exit_main") std::exit(actor.status());
  if (actor.way == "uncaught_main") throw_uncaught();
  if (actor.way == "exit_action") exit_in_action(actor);
  if (actor.way == "reset_action") leave_after_action(actor);
  if (actor.way == "wait_scope") leave_after_sigterm();
  if (actor.way == "reset_own") raise_signal(actor), done[actor.place].await();
}

// The main thread runs the ways that have no thread of their own. If the first way acts in a cleanup, the
// main thread ends the scope, so that the cleanup runs.
bool is_on_main(const Actor& actor) {
  return is_one_of(actor.way, {"scope", "throw", "exit_main", "uncaught_main", "exit_action", "wait_scope",
                               "reset_action", "reset_cleanup", "reset_own"}) ||
         (actor.place == 0 && is_in_cleanup(actor.way));
}

// Installs a terminate handler of the program that calls the handler before it. That one belongs to an
// earlier context.
std::terminate_handler found_handler = nullptr;

void chain_terminate_handler() {
  const DaemonContext short_lived(plan.options);
  found_handler = std::set_terminate([] { found_handler(); });
}

void act_in_scope() {
  for (const Actor& each : plan.actors) {
    if (is_on_main(each)) return act_on_main(each);
  }
  for (;;) ::pause();
}

void run_scope() {
  owned = std::make_unique<DaemonContext>(plan.options);
  const struct Scope {
    ~Scope() { owned.reset(); }
  } scope;
  current = owned.get();
  for (int number = 1; number <= 4; ++number) owned->on_exit([number] { run_cleanup(number); });
  for (const Actor& each : plan.actors) begin_on_thread(each);
  act_in_scope();
}

// Makes and ends further contexts while the other threads go on.
void make_and_end_scopes() {
  for (int n = 1; n < plan.scopes; ++n) DaemonContext short_lived(plan.options);
}

int after_scope(int status) {
  if (is_child()) return status;
  say("main: " + mask_text());
  scope_over.open();
  for (const Actor& each : plan.actors) {
    if (comes_back(each.way)) done[each.place].await();
  }
  return status;
}

// If the first way is an uncaught exception, no cleanup runs in which the other ways could act. They act
// while the exception is reported.
void report(const std::exception_ptr& error, std::string_view where) {
  let_others_act();
  const std::string line = "lifetime_probe: " + std::string(where) + daemonctx::message_of(error) + '\n';
  if (::write(STDERR_FILENO, line.data(), line.size()) == -1) ::_exit(98);
}

void prepare_options() {
  auto& options = plan.options;
  options.pidfile = plan.pidfile;
  options.detach_process = daemonctx::DetachProcess::never;
  for (const Actor& each : plan.actors) {
    options.signal_map[each.signal()] = action_for(each);
    if (is_on_own_thread(each.way)) options.signal_delivery = daemonctx::SignalDelivery::on_own_thread;
  }
  if (plan.actors.size() > 1 && plan.actors[0].way == "uncaught_thread" && !plan.together) {
    options.on_error = report;
  }
}

// Installs handlers before the context. A signal that comes after the context's end finds these handlers, not
// the default action.
void install_earlier_handlers() {
  struct sigaction nothing {};
  nothing.sa_handler = [](int) {};
  nothing.sa_flags = SA_RESTART;
  for (const int number : {SIGTERM, SIGUSR1, SIGUSR2, SIGALRM}) ::sigaction(number, &nothing, nullptr);
}

void read_words(const std::vector<std::string>& words) {
  plan.pidfile = words.at(0);
  for (std::size_t at = 1; at < words.size(); ++at) {
    const std::string& word = words[at];
    if (word == "together") plan.together = true;
    else if (word == "chained") plan.is_chained = true;
    else if (word.rfind("timeout=", 0) == 0)
      plan.options.cleanup_timeout = std::chrono::milliseconds(std::stoi(word.substr(8)));
    else if (word.rfind("scopes=", 0) == 0) plan.scopes = std::stoi(word.substr(7));
    else plan.actors.push_back({word, static_cast<int>(plan.actors.size())});
  }
}

// Registers eight exit handlers first. So the handlers of a context lie in one block, which is not emptied
// before the end. Before 2.41 glibc may free a block of 32 handlers twice: one thread is in a handler of the
// address sanitizer while another thread takes the last handler of the block. The sanitizer registers such a
// handler behind each exit handler.
void keep_handlers_in_one_block() {
#ifdef __SANITIZE_ADDRESS__
  for (int n = 0; n < 8; ++n) std::atexit([] {});
#endif
}

// Waits for a fork under way, and prevents another one, before ThreadSanitizer's library is finalized. glibc
// then removes the fork handlers of that library. A fork under way would leave locked what the library's exit
// handler waits for, forever. This handler is registered first, so only the library's handlers run after it.
void end_forks_before_thread_sanitizer() {
  if (!is_thread_sanitizer) return;
  std::atexit([] {
    if (!is_child()) forking.lock();
  });
}

}  // namespace

int main(int argc, char** argv) {
  keep_handlers_in_one_block();
  end_forks_before_thread_sanitizer();
  self = ::getpid();
  read_words({argv + 1, argv + argc});
  install_earlier_handlers();
  prepare_options();
  int status = left_scope;
  if (plan.is_chained) chain_terminate_handler();
  try {
    run_scope();
  } catch (const Thrown&) {
    status = caught;
  }
  if (!is_child()) make_and_end_scopes();
  return after_scope(status);
}
