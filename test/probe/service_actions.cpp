// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <daemonctx/controller.hpp>
#include <daemonctx/stop_token.hpp>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "probe.hpp"

namespace probe {
namespace {

using daemonctx::DaemonContext;

void acquire_terminal(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  say(fd == -1 ? "no terminal to open" : "opened, controlling terminal: " + terminal());
}

// Reports the outcome of a system call that may be forbidden, and closes the descriptor that it returned.
void say_outcome(const std::string& what, int result) {
  const int error = errno;
  if (result > 2) ::close(result);
  say(what + (result == -1 ? std::string(": ") + std::strerror(error) : ": done"));
}

void execute(DaemonContext&, const std::string& program) {
  const pid_t child = ::fork();
  if (child == -1) return say_outcome("fork", -1);
  if (child == 0) {
    ::execl(program.c_str(), program.c_str(), nullptr);
    ::_exit(errno);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  errno = WEXITSTATUS(status);
  say_outcome("execute", errno == 0 ? 0 : -1);
}

void list_descriptors(DaemonContext& context, const std::string& name) {
  std::string text = "descriptors";
  for (const auto& [each, fd] : context.manager().listen_descriptors()) {
    const bool closes = (::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
    text += ' ' + std::to_string(fd) + ':' + each + (closes ? "" : " not close-on-exec");
  }
  if (!name.empty())
    text += ", " + std::to_string(context.manager().listen_descriptors(name).size()) + " " + name;
  say(text);
}

void talk_to_manager(DaemonContext& context, const std::string&) {
  using namespace std::chrono_literals;
  auto manager = context.manager();
  manager.extend_timeout(2s);
  manager.store("output", STDOUT_FILENO);
  manager.remove_stored("output");
  manager.report_failure(ENOENT, "no key");
  context.notify_status("working");
  say("barrier " + std::to_string(manager.barrier(10s)));
  say(std::string("watchdog ") + (manager.watchdog_timeout().is_forever() ? "none" : "some"));
  try {
    manager.store("a:b", STDOUT_FILENO);
  } catch (const std::invalid_argument& error) {
    say(error.what());
  }
}

void tell_worker(DaemonContext& context, const std::string&) {
  const auto& last = context.last_worker_end();
  say("worker " + std::to_string(context.worker_number()) + " pid " + std::to_string(context.pid()) +
      " monitor " + std::to_string(::getppid()) + " last " + (last ? daemonctx::to_string(*last) : "none"));
}

// The recursion never ends. The test of `depth` hides that from the compiler.
int exhaust_stack(int depth) {
  volatile char page[4096] = {};
  page[depth % 4096] = static_cast<char>(depth);
  return depth == 0 ? 0 : exhaust_stack(depth + 1) + page[0];
}

// COUNT or COUNT,FILE: writes COUNT lines, and with FILE goes on until FILE exists. Each line is flushed at
// once. After every ten lines the service handles signals for a millisecond.
void write_lines(DaemonContext& context, const std::string& text) {
  const int count = std::stoi(text);
  const auto comma = text.find(',');
  const auto has_enough = [&] {
    return comma == std::string::npos || ::access(text.substr(comma + 1).c_str(), F_OK) == 0;
  };
  int n = 0;
  for (; n < count || !has_enough(); ++n) {
    std::string line = "line " + std::to_string(n);
    line.resize(40, '.');
    std::cout << line << std::endl;
    if (n % 10 == 9) context.wait_for(std::chrono::milliseconds(1));
  }
  say(std::to_string(n) + " lines");
}

// Makes COUNT orphans, and a child of its own that ends after the orphans have been reaped.
void make_orphans(DaemonContext&, const std::string& count) {
  int until_then[2];
  if (::pipe2(until_then, O_CLOEXEC) == -1) ::_exit(98);
  const pid_t own = ::fork();
  if (own == 0) {
    char byte = 0;
    ::close(until_then[1]);
    ::_exit(::read(until_then[0], &byte, 1) == 0 ? 7 : 98);
  }
  for (int n = std::stoi(count); n > 0; --n) {
    const pid_t parent = ::fork();
    if (parent == 0) ::_exit(::fork() == -1 ? 97 : 0);
    ::waitpid(parent, nullptr, 0);
  }
  const auto children_of_process_1 = [] {
    std::ifstream list("/proc/1/task/1/children");
    return std::string(std::istreambuf_iterator<char>(list), {});
  };
  while (children_of_process_1() != std::to_string(::getpid()) + ' ') std::this_thread::yield();
  ::close(until_then[1]);
  int status = 0;
  ::waitpid(own, &status, 0);
  say("orphans reaped, own child " + std::to_string(WEXITSTATUS(status)));
}

// Calls SYS_exit instead of pthread_exit(3), which would unwind the stack and so end the context.
void end_main_thread(DaemonContext& context, const std::string&) {
  std::thread([&context] {
    while (::syscall(SYS_tgkill, ::getpid(), ::getpid(), 0) == 0) {
      std::ifstream stat("/proc/self/stat");
      std::string text;
      std::getline(stat, text);
      if (text.find(") Z ") != std::string::npos) break;
      std::this_thread::yield();
    }
    say("the main thread has ended");
    context.wait();
    say("stop");
    std::exit(0);
  }).detach();
  ::syscall(SYS_exit, 0);
}

// Sends every real-time signal while all are blocked, and then unblocks them at once.
void raise_all_at_once(DaemonContext&, const std::string&) {
  sigset_t all;
  sigset_t former;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &former);
  for (int number = SIGRTMIN; number <= SIGRTMAX; ++number) ::kill(::getpid(), number);
  ::pthread_sigmask(SIG_SETMASK, &former, nullptr);
  say("all have come");
}

void bind_port(DaemonContext&, const std::string& port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(port)));
  say_outcome("bind", ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address));
  ::close(fd);
}

void throw_error(const std::string& text) { throw std::runtime_error(text); }
// The other thread runs the cleanup, which is slow and refers to `local`. Meanwhile this thread leaves the
// cleanup's scope and destroys `local`.
void leave_scope_while_another_thread_exits(DaemonContext& context, const std::string&) {
  auto local = std::make_unique<std::string>("there");
  std::atomic<bool> begun = false;
  {
    const daemonctx::ScopedCleanup cleanup = context.on_exit([&] {
      begun = true;
      std::this_thread::sleep_for(std::chrono::milliseconds(300));
      say(local ? "cleanup: " + *local : "cleanup: gone");
    });
    std::thread([] { std::exit(5); }).detach();
    while (!begun) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  local.reset();
  for (;;) ::pause();  // until the other thread has ended the process
}

// The end runs the pool thread's scoped cleanup and then joins the thread. During the join the thread leaves
// the scope of that cleanup.
void end_while_a_pool_thread_has_a_scoped_cleanup(DaemonContext& context, const std::string&) {
  static std::thread pool;
  static std::atomic<bool> stops = false;
  std::atomic<bool> begun = false;
  context.on_exit([] {
    stops = true;
    pool.join();
    say("pool joined");
  });
  pool = std::thread([&context, &begun] {
    const daemonctx::ScopedCleanup cleanup = context.on_exit([] { say("connection closed"); });
    begun = true;
    while (!stops) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  });
  while (!begun) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

void throw_uncaught(const std::string& text) noexcept { throw_error(text); }

std::optional<daemonctx::Cleanup> first_cleanup;

// A forked worker should not call these members. The calls must do no harm.
void use_context(DaemonContext& context) {
  context.on_exit([] { say("a worker's cleanup"); });
  context.wait();
  say("waited, stopped: " + std::to_string(context.stop_requested()));
  context.notify_status("from a worker");
  context.keep_alive();
  say("ran: " + std::to_string(first_cleanup && first_cleanup->run_now()));
  std::exit(4);
}

void throw_in_own_context() noexcept {
  const DaemonContext own({.detach_process = daemonctx::DetachProcess::never});
  throw_error("broken worker");
}

[[noreturn]] void worker(DaemonContext& context, const std::string& what) {
  say("worker " + std::to_string(::getpid()) + " fds " + open_descriptors());
  if (what == "exit") std::exit(3);
  if (what == "return") throw 3;
  if (what == "use") use_context(context);
  if (what == "throw") throw_uncaught("broken worker");
  if (what == "own_context") throw_in_own_context();
  for (;;) ::pause();
}

void fork_worker(DaemonContext& context, const std::string& what) {
  const pid_t child = ::fork();
  if (child == 0) worker(context, what);
  if (what == "wait") return;
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) return say("worker killed by " + std::to_string(WTERMSIG(status)));
  say("worker ended " + std::to_string(WEXITSTATUS(status)));
}

void throw_on_thread(const std::string& text) {
  std::thread([&] { throw std::runtime_error(text); }).join();
}

// Locks the file until the service ends, and reports whether another service holds the lock.
void lock_witness_file(DaemonContext& context, const std::string& file) {
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  const bool alone = ::flock(fd, LOCK_EX | LOCK_NB) == 0;
  say((alone ? "alone " : "not alone ") + std::to_string(::getpid()));
  context.on_exit([fd] { ::close(fd); });
}

// Reads the new configuration. Every text but "good" makes the reload fail, each in another way.
void read_configuration(const std::string& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  const std::string what = text.str();
  if (what == "end") ::_exit(9);
  if (what == "hang") say("hanging");
  while (what == "hang") ::pause();
  if (what != "good") throw std::runtime_error(what);
  say("reloaded");
}

// The daemon uses a Controller on its own pidfile.
void control_self(DaemonContext&, const std::string& pidfile) {
  const daemonctx::Controller controller(pidfile);
  for (int n = 0; n < 3; ++n) say(std::string("I am ") + to_string(controller.status().state));
  say(controller.status().pid == ::getpid() && controller.status().since ? "it is me" : "it is another");
  for (const auto& operation : {std::function<void()>([&] { controller.stop(); }),
                                std::function<void()>([&] { controller.reload(); })}) {
    try {
      operation();
    } catch (const std::system_error& error) {
      say(error.what());
    }
  }
  controller.send_signal(SIGUSR1);
}

struct Connection {
  std::string name;
  void close() const { say("closed " + name); }
};

Connection lasting{"lasting"};

}  // namespace

const std::map<std::string, ServiceAction> service_actions = {
    {"facts", [](DaemonContext& context, const std::string&) { tell_facts(&context); }},
    {"seen",
     [](DaemonContext&, const std::string& path) {
       say(path + (::access(path.c_str(), F_OK) == 0 ? " is there" : " is not there"));
     }},
    {"read",
     [](DaemonContext&, const std::string& path) {
       say_outcome("read", ::open(path.c_str(), O_RDONLY | O_CLOEXEC));
     }},
    {"create",
     [](DaemonContext&, const std::string& path) {
       say_outcome("create", ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
     }},
    {"execute", execute},
    {"listen", list_descriptors},
    {"socket", tell_socket},
    {"serve", serve_socket},
    {"child_socket", tell_child_socket},
    {"cleanup_socket", use_socket_in_cleanup},
    {"manager", talk_to_manager},
    {"store",
     [](DaemonContext& context, const std::string& name) {
       const int fd = ::memfd_create(name.c_str(), MFD_CLOEXEC);
       context.manager().store(name, fd);
       ::close(fd);
       context.manager().barrier(std::chrono::seconds(10));
       say("stored");
     }},
    {"orphans", make_orphans},
    {"map",
     [](DaemonContext& context, const std::string& signal) {
       context.map_signal(std::stoi(signal), [](const daemonctx::SignalInfo& info) {
         say("mapped " + std::to_string(info.number));
       });
     }},
    {"busy",
     [](DaemonContext&, const std::string& ms) {
       std::this_thread::sleep_for(std::chrono::milliseconds(std::stoi(ms)));
     }},
    {"bind", bind_port},
    {"await",  // until another process opens the FIFO for writing
     [](DaemonContext&, const std::string& fifo) { await_writer(fifo); }},
    {"tell_worker", tell_worker},
    {"remember",  // TEXT, or SIZE bytes
     [](DaemonContext& context, const std::string& text) {
       const bool is_size = text.find_first_not_of("0123456789") == std::string::npos;
       context.remember(is_size ? std::string(std::stoul(text), 'x') : text);
     }},
    {"remembered",
     [](DaemonContext& context, const std::string&) {
       const auto bytes = context.remembered();
       if (!bytes) return say("remembers nothing");
       say("remembers " + (bytes->size() < 100 ? *bytes : std::to_string(bytes->size()) + " bytes"));
     }},
    {"open_file",
     [](DaemonContext& context, const std::string& path) {
       try {
         const int fd = context.open_file(path);
         std::array<char, 100> text{};
         const auto size = ::read(fd, text.data(), text.size());
         say("opened: " + std::string(text.data(), static_cast<std::size_t>(size)) +
             (::fcntl(fd, F_GETFD) == FD_CLOEXEC ? "" : ", inheritable"));
         ::close(fd);
       } catch (const std::system_error& error) {
         say("not opened: " + error.code().message());
       }
     }},
    {"lines", write_lines},
    {"count",
     [](DaemonContext&, const std::string&) {
       static int counted = 0;
       say("counted " + std::to_string(++counted));
     }},
    {"reload_by_dying",
     [](DaemonContext& context, const std::string&) { context.on_reload([] { ::_exit(1); }); }},
    {"keep_alive",
     [](DaemonContext& context, const std::string& ms) {
       for (int left = std::stoi(ms); left > 0; left -= 10) {
         context.keep_alive();
         std::this_thread::sleep_for(std::chrono::milliseconds(10));
       }
     }},
    {"crash",
     [](DaemonContext&, const std::string& address) {
       *reinterpret_cast<volatile int*>(std::stoul(address, nullptr, 16)) = 1;
     }},
    {"exhaust_stack", [](DaemonContext&, const std::string&) { exhaust_stack(1); }},
    {"until",  // N,ACTION: runs ACTION in the workers before the N-th
     [](DaemonContext& context, const std::string& text) {
       const auto comma = text.find(',');
       if (context.worker_number() >= std::stoul(text)) return;
       const std::string action = text.substr(comma + 1);
       const auto colon = action.find(':');
       const std::string argument = colon == std::string::npos ? "" : action.substr(colon + 1);
       service_actions.at(action.substr(0, colon))(context, argument);
     }},
    {"statuses",
     [](DaemonContext& context, const std::string& count) {
       for (int n = std::stoi(count); n > 0; --n) context.notify_status("still " + std::to_string(n));
     }},
    {"say", [](DaemonContext&, const std::string& text) { say(text); }},
    {"print", [](DaemonContext&, const std::string& text) { std::cout << text << std::endl; }},
    {"beat",  // prints the text again and again, until the stop
     [](DaemonContext& context, const std::string& text) {
       do std::cout << text << std::endl;
       while (!context.wait_for(std::chrono::milliseconds(10)));
       say("stop");
     }},
    {"eprint", [](DaemonContext&, const std::string& text) { std::cerr << text << std::endl; }},
    {"buffer", [](DaemonContext&, const std::string& text) { std::printf("%s", text.c_str()); }},
    {"wait",
     [](DaemonContext& context, const std::string&) {
       context.wait();
       say("stop");
     }},
    {"wait_quietly", [](DaemonContext& context, const std::string&) { context.wait(); }},
    {"wait_for",
     [](DaemonContext& context, const std::string& ms) {
       say(context.wait_for(length(ms)) ? "stop" : "no stop");
     }},
    {"wait_until",
     [](DaemonContext& context, const std::string&) {
       using Moment = std::chrono::time_point<std::chrono::steady_clock, std::chrono::hours>;
       say(context.wait_until(Moment::min()) ? "stop" : "no stop");
       say(context.wait_until(Moment::max()) ? "stop" : "no stop");
     }},
    {"poll",
     [](DaemonContext& context, const std::string&) {
       pollfd readable{context.signal_fd(), POLLIN, 0};
       int timeout = -1;
       while (!daemonctx::stop_token_of(context).stop_requested()) {
         ::poll(&readable, 1, timeout);
         const auto next = context.dispatch();
         using Clock = std::chrono::steady_clock;
         const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now());
         const bool never = next == Clock::time_point::max();
         timeout = never ? -1 : std::max(0, static_cast<int>(left.count()));
       }
       say(context.stop_requested() ? "stop" : "a token without a stop");
     }},
    {"block_in_read",
     [](DaemonContext& context, const std::string&) {
       int ends[2] = {};
       if (::pipe2(ends, O_CLOEXEC) == -1) return;
       char byte = 0;
       say("reading");
       const auto size = ::read(ends[0], &byte, 1);
       say(size == -1 && errno == EINTR && context.stop_requested() ? "interrupted" : "not interrupted");
     }},
    {"ready", [](DaemonContext& context, const std::string&) { context.notify_ready(); }},
    {"fail", [](DaemonContext& context, const std::string& text) { context.fail(text); }},
    {"throw", [](DaemonContext&, const std::string& text) { throw std::runtime_error(text); }},
    {"exit", [](DaemonContext&, const std::string& status) { std::exit(std::stoi(status)); }},
    {"_exit", [](DaemonContext&, const std::string& status) { ::_exit(std::stoi(status)); }},
    {"return", [](DaemonContext&, const std::string& status) { throw std::stoi(status); }},
    {"raise", [](DaemonContext&, const std::string& signal) { ::raise(std::stoi(signal)); }},
    {"uncaught", [](DaemonContext&, const std::string& text) { throw_uncaught(text); }},
    {"uncaught_on_thread", [](DaemonContext&, const std::string& text) { throw_on_thread(text); }},
    {"become",
     [](DaemonContext&, const std::string& user) {
       say_outcome("become", ::setuid(static_cast<uid_t>(std::stoul(user))));
     }},
    {"block",
     [](DaemonContext&, const std::string& signal) {
       sigset_t set;
       sigemptyset(&set);
       sigaddset(&set, std::stoi(signal));
       ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
     }},
    {"escape",  // starts a process that has a session and parents of its own, and ignores SIGTERM
     [](DaemonContext&, const std::string&) {
       if (::fork() != 0) return;
       ::setsid();
       if (::fork() != 0) ::_exit(0);
       ::signal(SIGTERM, SIG_IGN);
       say("escaped " + std::to_string(::getpid()));
       for (;;) ::pause();
     }},
    {"leave",  // the process group; ignores SIGTERM
     [](DaemonContext&, const std::string&) {
       ::setsid();
       ::signal(SIGTERM, SIG_IGN);
       for (;;) ::pause();
     }},
    {"await_signal",
     [](DaemonContext&, const std::string& signal) {
       sigset_t set;
       sigemptyset(&set);
       sigaddset(&set, std::stoi(signal));
       int received = 0;
       ::sigwait(&set, &received);
     }},
    {"end_main_thread", end_main_thread},
    {"raise_all_at_once", raise_all_at_once},
    {"hang",
     [](DaemonContext&, const std::string&) {
       for (;;) ::pause();
     }},
    {"request_stop", [](DaemonContext& context, const std::string&) { context.request_stop(); }},
    {"cleanup",
     [](DaemonContext& context, const std::string& text) {
       const auto cleanup = context.on_exit([text] { say("cleanup " + text); });
       if (!first_cleanup) first_cleanup = cleanup;
     }},
    {"scoped",
     [](DaemonContext& context, const std::string& text) {
       {
         const daemonctx::ScopedCleanup cleanup = context.on_exit([text] { say("cleanup " + text); });
         say("inside");
       }
       say("outside");
     }},
    {"scoped_moved",
     [](DaemonContext& context, const std::string& text) {
       daemonctx::ScopedCleanup first = context.on_exit([text] { say("first " + text); });
       daemonctx::ScopedCleanup second = context.on_exit([text] { say("second " + text); });
       first = std::move(second);
       say("moved");
     }},
    {"scoped_release",
     [](DaemonContext& context, const std::string& text) {
       daemonctx::ScopedCleanup cleanup = context.on_exit([text] { say("cleanup " + text); });
       say(cleanup.release() ? "released" : "not there");
     }},
    {"scoped_throw",
     [](DaemonContext& context, const std::string& text) {
       const daemonctx::ScopedCleanup cleanup = context.on_exit([text] { throw std::runtime_error(text); });
     }},
    {"scoped_exit",
     [](DaemonContext& context, const std::string& text) {
       const std::string local = text;
       const daemonctx::ScopedCleanup cleanup = context.on_exit([&local] { say("cleanup " + local); });
       std::exit(3);
     }},
    {"keep_scoped",  // the scoped cleanup outlives the context
     [](DaemonContext& context, const std::string& text) {
       static daemonctx::ScopedCleanup kept;
       kept = context.on_exit([text] { say("kept " + text); });
     }},
    {"scoped_pool", end_while_a_pool_thread_has_a_scoped_cleanup},
    {"scoped_race", leave_scope_while_another_thread_exits},
    {"cleanup_throw",
     [](DaemonContext& context, const std::string& text) {
       context.on_exit([text] { throw std::runtime_error(text); });
     }},
    {"cleanup_exit",
     [](DaemonContext& context, const std::string& status) {
       context.on_exit([status] { std::exit(std::stoi(status)); });
     }},
    {"cleanup_slow",
     [](DaemonContext& context, const std::string& ms) {
       context.on_exit([ms] {
         std::this_thread::sleep_for(std::chrono::milliseconds(std::stoi(ms)));
         say("slow cleanup");
       });
     }},
    {"cleanup_await",
     [](DaemonContext& context, const std::string& fifo) {
       context.on_exit([fifo] {
         say("waits");
         await_writer(fifo);
       });
     }},
    {"cleanup_hang",
     [](DaemonContext& context, const std::string&) {
       context.on_exit([] {
         for (;;) ::pause();
       });
     }},
    {"cleanup_signals",
     [](DaemonContext& context, const std::string& count) {
       context.on_exit([count] {
         for (int n = std::stoi(count); n > 0; --n) ::kill(::getpid(), SIGTERM);
       });
     }},
    {"close", [](DaemonContext&, const std::string& fd) { ::close(std::stoi(fd)); }},
    {"close_connections",
     [](DaemonContext& context, const std::string&) {
       context.close_on_exit(lasting);
       context.close_on_exit(Connection{"moved"});
       context.close_on_exit(std::make_unique<Connection>(Connection{"pointed at"}));
     }},
    {"on_reload",
     [](DaemonContext& context, const std::string& what) {
       context.on_reload([what] {
         if (what == "throw") throw std::runtime_error("broken configuration");
         if (what == "throw_nothing") throw std::runtime_error("");
         if (what.starts_with('/')) {
           say("waits");
           await_writer(what);
         }
         if (what != "quiet") say("reloaded");
       });
     }},
    {"configuration",
     [](DaemonContext& context, const std::string& file) {
       context.on_reload([file] { read_configuration(file); });
     }},
    {"control_self", control_self},
    {"waiting_thread",
     [](DaemonContext& context, const std::string&) {
       std::thread([&context] {
         say("waits");
         context.wait();
         say("stop");
       }).detach();
     }},
    {"witness", lock_witness_file},
    {"seek_key",
     [](DaemonContext&, const std::string& name) {
       constexpr int search = 10;  // KEYCTL_SEARCH, in KEY_SPEC_SESSION_KEYRING (-3)
       say(::syscall(SYS_keyctl, search, -3, "user", name.c_str(), 0) == -1 ? "no key" : "found the key");
     }},
    {"rename",  // FROM,TO
     [](DaemonContext&, const std::string& names) {
       const auto comma = names.find(',');
       say_outcome("rename", ::rename(names.substr(0, comma).c_str(), names.substr(comma + 1).c_str()));
     }},
    {"fill_shared_pages", fill_shared_pages},
    {"send_lingering", send_lingering},
    {"flood_monitor", flood_monitor},
    {"lose_monitor", lose_monitor},
    {"tell_monitor", tell_monitor},
    {"send_descriptors", send_descriptors},
    {"ask_to_reopen", ask_to_reopen},
    {"ask_to_remember", ask_to_remember},
    {"ask_to_open", ask_to_open},
    {"seize_pidfile", seize_pidfile},
    {"reopen", [](DaemonContext& context, const std::string&) { context.reopen_output(); }},
    {"fork", fork_worker},
    {"terminal", [](DaemonContext&, const std::string& path) { acquire_terminal(path); }},
    {"second",
     [](DaemonContext&, const std::string&) {
       try {
         const DaemonContext another({.detach_process = daemonctx::DetachProcess::never});
       } catch (const std::logic_error& error) {
         say(error.what());
       }
     }},
};

}  // namespace probe
