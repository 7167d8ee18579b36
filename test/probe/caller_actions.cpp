// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/filesystem/operations.hpp>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "grouping.hpp"
#include "probe.hpp"

namespace probe {
namespace {

namespace fs = boost::filesystem;

void open_inherited_descriptors(const std::string& count) {
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

// Each thread has many descriptors of its own, which the kernel closes while the thread ends. So /proc lists
// the thread long after the join.
void join_threads(const std::string& count) {
  std::vector<std::thread> threads;
  for (int n = std::stoi(count); n > 0; --n) {
    threads.emplace_back([] {
      if (::unshare(CLONE_FILES) != 0) return;
      int last = -1;
      for (int fd = 0; fd != -1; fd = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0)) last = fd;
      for (const int fd : {last, last - 1}) ::close(fd);  // a sanitizer needs two free ones for a pipe
    });
  }
  for (std::thread& thread : threads) thread.join();
}

void raise_limit(const std::string& limit) {
  rlimit wanted{};
  ::getrlimit(RLIMIT_NOFILE, &wanted);
  wanted.rlim_cur = std::min<rlim_t>(wanted.rlim_max, std::stoul(limit));
  ::setrlimit(RLIMIT_NOFILE, &wanted);
}

void tell_limit(const std::string&) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  say("descriptors up to " + std::to_string(limit.rlim_cur));
}

__attribute__((no_sanitize("address", "thread"))) int sleep_for_ever(void*) {
  for (;;) ::syscall(SYS_pause);
}

// Starts a thread that the C library does not know, as an emulator does.
void start_foreign_thread(const std::string&) {
  alignas(16) static std::array<char, 64UL * 1024> stack;
  constexpr int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
  if (::clone(sleep_for_ever, stack.data() + stack.size(), flags, nullptr) == -1) std::exit(98);
}

}  // namespace

const std::map<std::string, CallerAction> caller_actions = {
    {"say", [](const std::string& text) { say(text); }},
    {"buffer", [](const std::string& text) { std::printf("%s", text.c_str()); }},
    {"block", block},
    {"group_digits", [](const std::string&) { group_digits(); }},
    {"explain",
     [](const std::string& umask) {
       const daemonctx::DaemonOptions options{.umask = static_cast<mode_t>(std::stoul(umask, nullptr, 8))};
       std::printf("%s", daemonctx::explain(options).c_str());
     }},
    {"keepcaps", [](const std::string&) { ::prctl(PR_SET_KEEPCAPS, 1); }},
    {"own_keyring",  // joins a new session keyring and adds a key
     [](const std::string& name) {
       const bool made =
           ::syscall(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, nullptr) != -1 &&
           ::syscall(SYS_add_key, "user", name.c_str(), "secret", 6, -3 /* KEY_SPEC_SESSION_KEYRING */) != -1;
       say(made ? "has a key" : "there are no keys");
     }},
    {"join_threads", join_threads},
    {"foreign_thread", start_foreign_thread},
    {"raise_limit", raise_limit},
    {"lower", [](const std::string&) { say(::seteuid(::getuid()) == 0 ? "lowered" : "not lowered"); }},
    {"ignore", [](const std::string& signal) { ::signal(std::stoi(signal), SIG_IGN); }},
    {"open", open_inherited_descriptors},
    {"tell_limit", tell_limit},
    {"close", [](const std::string& fd) { ::close(std::stoi(fd)); }},
    {"cd", [](const std::string& path) { fs::current_path(path); }},
    {"umask", [](const std::string& mask) { ::umask(static_cast<mode_t>(std::stoi(mask, nullptr, 8))); }},
    {"atexit", [](const std::string&) { std::atexit([] { say("the caller's atexit ran"); }); }},
    {"catch_interrupt", [](const std::string&) { ::signal(SIGINT, [](int) { say("handler"); }); }},
    {"churn",  // three threads, each of which starts and joins others without end
     [](const std::string&) {
       for (int n = 0; n < 3; ++n) {
         std::thread([] {
           for (;;) std::thread([] {}).join();
         }).detach();
       }
     }},
    {"thread",
     [](const std::string&) {
       std::thread([] {
         for (;;) ::pause();
       }).detach();
     }},
};

}  // namespace probe
