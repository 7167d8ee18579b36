// SPDX-License-Identifier: BSL-1.0

// Becomes a daemon in front of a test's eyes. Words on the command line say what to do:
//
//   daemon_probe CHANNEL [action...] daemon [option=value...] [action...]
//
// Actions before "daemon" run in the caller, those after it in the daemon. Reports go to the FIFO CHANNEL, a
// line each, so that nothing needs to be inherited.

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <boost/filesystem/operations.hpp>
#include <daemonctx/daemon_context.hpp>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace {

namespace fs = boost::filesystem;
using namespace std::chrono_literals;
using daemonctx::DaemonContext;
using daemonctx::DaemonOptions;
using daemonctx::StdioTarget;

std::string channel;

void say(const std::string& text) {
  const std::string line = text + '\n';
  const int fd = ::open(channel.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd == -1 || ::write(fd, line.data(), line.size()) == -1) ::_exit(99);
  ::close(fd);
}

// ---- What a process can see of itself.

std::string open_descriptors() {
  std::map<int, std::string> found;
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    boost::system::error_code gone;
    const auto target = fs::read_symlink(entry.path(), gone);
    if (!gone && target.string().find("/fd") == std::string::npos) {
      found[std::stoi(entry.path().filename().string())] = target.string();
    }
  }
  std::string text;
  for (const auto& [fd, target] : found) text += std::to_string(fd) + ':' + target + ' ';
  return text;
}

std::string status_field(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind(name + ":\t", 0) == 0) return line.substr(name.size() + 2);
  }
  return {};
}

std::string current_umask() {
  const mode_t mask = ::umask(0);
  ::umask(mask);
  std::ostringstream text;
  text << std::oct << mask;
  return text.str();
}

std::string core_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_CORE, &limit);
  return std::to_string(limit.rlim_cur) + ' ' + std::to_string(limit.rlim_max);
}

std::string terminal() {
  const int fd = ::open("/dev/tty", O_RDWR | O_CLOEXEC);
  if (fd != -1) ::close(fd);
  return fd == -1 ? "none" : "has one";
}

void tell_facts(const DaemonContext& context) {
  std::ostringstream text;
  text << "pid=" << ::getpid() << "\nppid=" << ::getppid() << "\npgid=" << ::getpgrp()
       << "\nsid=" << ::getsid(0) << "\ncwd=" << fs::current_path().string() << "\numask=" << current_umask()
       << "\nfds=" << open_descriptors() << "\nblocked=" << status_field("SigBlk")
       << "\nignored=" << status_field("SigIgn") << "\ncaught=" << status_field("SigCgt")
       << "\ncore=" << core_limit() << "\nterminal=" << terminal() << "\nthreads=" << status_field("Threads")
       << "\nmode=" << to_string(context.mode()) << "\ncontext_pid=" << context.pid() << "\nend of facts";
  say(text.str());
}

// ---- What a service may do.

void acquire_terminal(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  say(fd == -1 ? "no terminal to open" : "opened, controlling terminal: " + terminal());
}

[[noreturn]] void worker(const std::string& what) {
  say("worker " + std::to_string(::getpid()) + " fds " + open_descriptors());
  if (what == "exit") std::exit(3);
  if (what == "return") throw 3;
  for (;;) ::pause();
}

void fork_worker(const std::string& what) {
  const pid_t child = ::fork();
  if (child == 0) worker(what);
  if (what == "wait") return;
  int status = 0;
  ::waitpid(child, &status, 0);
  say("worker ended " + std::to_string(WEXITSTATUS(status)));
}

void throw_on_thread(const std::string& text) {
  std::thread([&] { throw std::runtime_error(text); }).join();
}

void throw_error(const std::string& text) { throw std::runtime_error(text); }
void throw_uncaught(const std::string& text) noexcept { throw_error(text); }

// Held for as long as the service works, and by one at a time.
void witness(DaemonContext& context, const std::string& file) {
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  const bool alone = ::flock(fd, LOCK_EX | LOCK_NB) == 0;
  say((alone ? "alone " : "not alone ") + std::to_string(::getpid()));
  context.on_exit([fd] { ::close(fd); });
}

// A signal action of its own: counts, and tells the last value.
std::atomic<int> handled = 0;

daemonctx::SignalAction counting_action() {
  return [](const daemonctx::SignalInfo& info) {
    ++handled;
    say("signal " + std::to_string(info.number) + " value " + std::to_string(info.value) + " from " +
        std::to_string(info.sender_pid) + ' ' + std::to_string(info.sender_uid));
  };
}

// And one that tells what a file holds at that moment.
daemonctx::SignalAction reading_action(const std::string& file) {
  return [file](const daemonctx::SignalInfo&) {
    std::ifstream in(file);
    std::string text;
    in >> text;
    say(text);
  };
}

struct Connection {
  std::string name;
  void close() const { say("closed " + name); }
};

Connection lasting{"lasting"};

using Action = void (*)(DaemonContext&, const std::string&);

const std::map<std::string, Action>& body_actions() {
  static const std::map<std::string, Action> actions = {
      {"facts", [](DaemonContext& context, const std::string&) { tell_facts(context); }},
      {"say", [](DaemonContext&, const std::string& text) { say(text); }},
      {"print", [](DaemonContext&, const std::string& text) { std::cout << text << std::endl; }},
      {"eprint", [](DaemonContext&, const std::string& text) { std::cerr << text << std::endl; }},
      {"buffer", [](DaemonContext&, const std::string& text) { std::printf("%s", text.c_str()); }},
      {"wait",
       [](DaemonContext& context, const std::string&) {
         context.wait();
         say("stop");
       }},
      {"wait_for",
       [](DaemonContext& context, const std::string& ms) {
         say(context.wait_for(std::chrono::milliseconds(std::stoi(ms))) ? "stop" : "no stop");
       }},
      {"poll",
       [](DaemonContext& context, const std::string&) {
         pollfd readable{context.signal_fd(), POLLIN, 0};
         while (!context.stop_token().stop_requested()) {
           if (::poll(&readable, 1, -1) > 0) context.dispatch();
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
      {"hang",
       [](DaemonContext&, const std::string&) {
         for (;;) ::pause();
       }},
      {"request_stop", [](DaemonContext& context, const std::string&) { context.request_stop(); }},
      {"cleanup",
       [](DaemonContext& context, const std::string& text) { context.on_exit([text] { say("cleanup " + text); }); }},
      {"cleanup_throw",
       [](DaemonContext& context, const std::string& text) {
         context.on_exit([text] { throw std::runtime_error(text); });
       }},
      {"cleanup_exit",
       [](DaemonContext& context, const std::string& status) {
         context.on_exit([status] { std::exit(std::stoi(status)); });
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
           say("reloaded");
         });
       }},
      {"witness", witness},
      {"reopen", [](DaemonContext& context, const std::string&) { context.reopen_output(); }},
      {"fork", [](DaemonContext&, const std::string& what) { fork_worker(what); }},
      {"terminal", [](DaemonContext&, const std::string& path) { acquire_terminal(path); }},
      {"second", [](DaemonContext&, const std::string&) {
         try {
           const DaemonContext another({.detach_process = daemonctx::DetachProcess::never});
         } catch (const std::logic_error& error) {
           say(error.what());
         }
       }},
  };
  return actions;
}

// ---- What the caller may have done before.

void open_descriptors_before(const std::string& count) {
  for (int n = std::stoi(count); n > 0; --n) {
    if (::open("/dev/zero", O_RDONLY) == -1) std::exit(98);  // NOLINT(android-cloexec-open): to be inherited
  }
}

void block(const std::string& signal) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, std::stoi(signal));
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

using Preparation = void (*)(const std::string&);

const std::map<std::string, Preparation>& caller_actions() {
  static const std::map<std::string, Preparation> actions = {
      {"say", [](const std::string& text) { say(text); }},
      {"buffer", [](const std::string& text) { std::printf("%s", text.c_str()); }},
      {"block", block},
      {"ignore", [](const std::string& signal) { ::signal(std::stoi(signal), SIG_IGN); }},
      {"open", open_descriptors_before},
      {"close", [](const std::string& fd) { ::close(std::stoi(fd)); }},
      {"cd", [](const std::string& path) { fs::current_path(path); }},
      {"umask", [](const std::string& mask) { ::umask(static_cast<mode_t>(std::stoi(mask, nullptr, 8))); }},
      {"atexit", [](const std::string&) { std::atexit([] { say("the caller's atexit ran"); }); }},
      {"catch_interrupt", [](const std::string&) { ::signal(SIGINT, [](int) { say("handler"); }); }},
      {"thread", [](const std::string&) {
         std::thread([] {
           for (;;) ::pause();
         }).detach();
       }},
  };
  return actions;
}

// ---- Options.

StdioTarget target(const std::string& text) {
  if (text == "inherit") return StdioTarget::inherit();
  if (text == "null") return StdioTarget::null_device();
  if (text.find_first_not_of("0123456789") == std::string::npos) return StdioTarget::descriptor(std::stoi(text));
  if (text.rfind("new:", 0) == 0) return StdioTarget::file(text.substr(4), {.truncate = true, .mode = 0600});
  return StdioTarget::file(text);
}

daemonctx::SignalAction signal_action(const std::string& name) {
  static const std::map<std::string, daemonctx::SignalAction> known = {
      {"ignore", daemonctx::ignore},       {"restore_default", daemonctx::restore_default},
      {"terminate", daemonctx::terminate}, {"reload", daemonctx::reload},
      {"reopen", daemonctx::reopen_output}, {"reap", daemonctx::reap_children}};
  if (name == "count") return counting_action();
  if (name.rfind("read ", 0) == 0) return reading_action(name.substr(5));
  if (name == "throw") return [](const daemonctx::SignalInfo&) { throw std::runtime_error("bad action"); };
  if (name == "exit") return [](const daemonctx::SignalInfo&) { std::exit(7); };
  return known.at(name);
}

void set_signal(DaemonOptions& options, const std::string& text) {
  const auto colon = text.find(':');
  options.signal_map[std::stoi(text)] = signal_action(text.substr(colon + 1));
}

void set_on_error(DaemonOptions& options, const std::string& what) {
  options.on_error = [what](const std::exception_ptr& error, std::string_view where) {
    say("error in " + std::string(where) + ": " + daemonctx::describe(error));
    if (what == "throw") throw 1;
  };
}

using Setter = void (*)(DaemonOptions&, const std::string&);

std::chrono::milliseconds ms(const std::string& text) { return std::chrono::milliseconds(std::stoll(text)); }

const std::map<std::string, Setter>& setters() {
  static const std::map<std::string, Setter> all = {
      {"cwd", [](DaemonOptions& o, const std::string& v) { o.working_directory = v; }},
      {"umask", [](DaemonOptions& o, const std::string& v) { o.umask = static_cast<mode_t>(std::stoi(v, nullptr, 8)); }},
      {"pidfile", [](DaemonOptions& o, const std::string& v) { o.pidfile = v; }},
      {"in", [](DaemonOptions& o, const std::string& v) { o.stdio.in = target(v); }},
      {"out", [](DaemonOptions& o, const std::string& v) { o.stdio.out = target(v); }},
      {"err", [](DaemonOptions& o, const std::string& v) { o.stdio.err = target(v); }},
      {"signal", set_signal},
      {"preserve", [](DaemonOptions& o, const std::string& v) { o.files_preserve.push_back(std::stoi(v)); }},
      {"close", [](DaemonOptions& o, const std::string& v) { o.close_descriptors = v == "yes"; }},
      {"core", [](DaemonOptions& o, const std::string& v) { o.prevent_core = v == "no"; }},
      {"detach",
       [](DaemonOptions& o, const std::string& v) {
         o.detach_process = v == "never"    ? daemonctx::DetachProcess::never
                            : v == "always" ? daemonctx::DetachProcess::always
                                            : daemonctx::DetachProcess::automatic;
       }},
      {"lock_timeout", [](DaemonOptions& o, const std::string& v) { o.lock_timeout = ms(v); }},
      {"readiness",
       [](DaemonOptions& o, const std::string&) { o.readiness = daemonctx::Readiness::when_notified; }},
      {"ready_timeout", [](DaemonOptions& o, const std::string& v) { o.ready_timeout = ms(v); }},
      {"delivery",
       [](DaemonOptions& o, const std::string&) { o.signal_delivery = daemonctx::SignalDelivery::on_own_thread; }},
      {"threads", [](DaemonOptions& o, const std::string&) { o.allow_threads = true; }},
      {"on_error", set_on_error},
      {"cleanup_timeout", [](DaemonOptions& o, const std::string& v) { o.cleanup_timeout = ms(v); }},
  };
  return all;
}

// ---- Words.

// Splits at the first separator; the second part may be empty.
std::pair<std::string, std::string> split(const std::string& word, char separator) {
  const auto at = word.find(separator);
  if (at == std::string::npos) return {word, {}};
  return {word.substr(0, at), word.substr(at + 1)};
}

int act(DaemonContext& context, const std::vector<std::string>& words) {
  try {
    for (const std::string& word : words) {
      const auto [name, value] = split(word, ':');
      body_actions().at(name)(context, value);
    }
  } catch (const int status) {
    return status;
  }
  return 0;
}

struct Script {
  DaemonOptions options;
  std::vector<std::string> body;
  bool by_run = false;  // through daemonctx::run instead of a guard in a try block
};

Script prepare(const std::vector<std::string>& words) {
  Script script;
  std::size_t at = 0;
  for (; at < words.size() && words[at] != "daemon" && words[at] != "run"; ++at) {
    const auto [name, value] = split(words[at], ':');
    caller_actions().at(name)(value);
  }
  script.by_run = at < words.size() && words[at] == "run";
  for (++at; at < words.size(); ++at) {
    const auto [name, value] = split(words[at], '=');
    const auto setter = setters().find(name);
    if (setter == setters().end()) break;
    setter->second(script.options, value);
  }
  for (; at < words.size(); ++at) script.body.push_back(words[at]);
  return script;
}

int guarded(const Script& script) {
  try {
    DaemonContext context(script.options);
    return act(context, script.body);
  } catch (const daemonctx::DaemonError& error) {
    std::cerr << "step " << static_cast<int>(error.step()) << " code " << error.code().value() << " pid "
              << error.pid() << " subject \"" << error.subject() << "\"\n"
              << error.what() << '\n';
    return 1;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 2;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 97;
  channel = argv[1];
  const Script script = prepare({argv + 2, argv + argc});
  if (!script.by_run) return guarded(script);
  return daemonctx::run(script.options, [&](DaemonContext& context) { return act(context, script.body); });
}
