// SPDX-License-Identifier: BSL-1.0

// A service whose first worker ends badly; the second one ends well.
//
//   crash_probe KIND [user=NAME] [chroot=DIRECTORY] [cwd=DIRECTORY]

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <daemonctx/daemon_context.hpp>
#include <daemonctx/stack_resolver.hpp>
#include <functional>
#include <iostream>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

extern "C" void __stack_chk_fail();
extern "C" void __cxa_pure_virtual();

// Not in an anonymous namespace, and never inlined: the tests look for these names.
#define NAMED [[gnu::noinline, gnu::visibility("default")]] void

// Written after each call, so that no function ends by jumping into the next one.
volatile int always = 1;

NAMED crash_by_null() { *reinterpret_cast<volatile int*>(always * 0x10L) = 1; }
NAMED crash_by_abort() { std::abort(); }
NAMED crash_by_exception() {
  if (always == 1) throw std::runtime_error("no more paper");
}
NAMED crash_by_illegal_instruction() { __builtin_trap(); }
NAMED crash_by_division() {
  always = 1 / (always - 1);
  ::raise(SIGFPE);  // not every processor traps
  always = 2;
}
// The instruction behind it would be next.
NAMED crash_by_trap() {
#if defined(__x86_64__)
  asm volatile("int3");
#else
  ::raise(SIGTRAP);
#endif
  always = 2;
}
NAMED crash_by_smashed_stack() {
  __stack_chk_fail();
  always = 2;
}
NAMED crash_by_pure_virtual() {
  __cxa_pure_virtual();
  always = 2;
}

// The file has no byte where the mapping is read.
NAMED crash_by_bus_error() {
  const int file = ::memfd_create("empty", MFD_CLOEXEC);
  const auto* memory = static_cast<volatile char*>(::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, file, 0));
  ::close(file);
  static_cast<void>(*memory);
}

// The compiler can't know that this is a double free.
NAMED crash_in_free() {
  void* volatile memory = std::malloc(32);
  std::free(memory);
  std::free(memory);
  always = 2;
}

int exhaust_stack(int depth) {
  volatile char page[4096] = {};
  page[depth % 4096] = static_cast<char>(depth);
  return depth == 0 ? 0 : exhaust_stack(depth + 1) + page[0];
}
NAMED crash_by_stack_overflow() { always = exhaust_stack(1); }

NAMED crash_in_thread() {
  std::thread([] {
    ::pthread_setname_np(::pthread_self(), "pool");
    crash_by_null();
  }).join();
}

// Holds no secret of ours, but words that could be one.
NAMED crash_with_a_secret() {
  volatile std::uint64_t secret[64];
  for (auto& word : secret) word = 0x5ec7e75ec7e75ec7;
  crash_by_null();
}

NAMED wait_in_pool() {
  for (;;) ::pause();
}
NAMED hang_in_main() {
  for (;;) ::pause();
}
NAMED hang() {
  std::thread([] {
    ::pthread_setname_np(::pthread_self(), "pool");
    wait_in_pool();
  }).detach();
  std::thread([] {
    ::pthread_setname_np(::pthread_self(), "deaf");
    sigset_t all;
    sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
    for (;;) ::pause();
  }).detach();
  hang_in_main();
}

NAMED run_service(const std::string& kind) {
  static const std::map<std::string, void (*)()> kinds = {
      {"null", crash_by_null},
      {"abort", crash_by_abort},
      {"exception", crash_by_exception},
      {"illegal", crash_by_illegal_instruction},
      {"division", crash_by_division},
      {"bus", crash_by_bus_error},
      {"trap", crash_by_trap},
      {"smashed", crash_by_smashed_stack},
      {"pure_virtual", crash_by_pure_virtual},
      {"free", crash_in_free},
      {"overflow", crash_by_stack_overflow},
      {"thread", crash_in_thread},
      {"secret", crash_with_a_secret},
      {"hang", hang},
  };
  kinds.at(kind)();
  always = 2;
}

int main(int argc, char** argv) {
  if (argc < 2) return 97;
  using namespace std::chrono_literals;
  daemonctx::DaemonOptions options{
      .detach_process = daemonctx::DetachProcess::never,
      .respawn = true,
      .respawn_policy = {
          .first_delay = 1ms, .hang_timeout = 300ms, .crash_report = daemonctx::stack_resolver()}};
  for (int n = 2; n < argc; ++n) {
    const std::string_view word = argv[n];
    if (word.starts_with("user=")) options.user = word.substr(5);
    if (word.starts_with("chroot=")) options.chroot_directory = std::string(word.substr(7));
  }
  daemonctx::DaemonContext context(options);
  if (context.worker_number() == 1) run_service(argv[1]);
  return 0;
}
