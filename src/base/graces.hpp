// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>

/// How long the library waits for what it can't force: another process, a thread, the kernel. What the user
/// can set is not here. A build can divide all graces, so that tests need not wait: the fault machine
/// (test/faults) does.
namespace daemonctx::graces {

#ifndef DAEMONCTX_DIVIDE_GRACES
#define DAEMONCTX_DIVIDE_GRACES 1
#endif

constexpr std::chrono::milliseconds ms(int length) {
  return std::chrono::milliseconds(length) / DAEMONCTX_DIVIDE_GRACES;
}

// ---- A start

/// After SIGTERM to a half-started daemon: long enough for cleanups, short enough after Ctrl-C.
inline constexpr auto termination = ms(2000);
/// How long the daemon may live on after the end of file: it may have closed its descriptors only.
inline constexpr auto end_of_file = ms(1000);
/// How long the kernel may take to end what was killed.
inline constexpr auto kill = ms(2000);
/// How long to search for processes below the daemon.
inline constexpr auto descendants = ms(1000);
/// A joined thread is still listed for a moment. Only a start that is refused takes all of it.
inline constexpr auto joined_thread = ms(250);
/// How long another start may hold a socket file's lock. Signals are blocked meanwhile.
inline constexpr auto socket_file = ms(1000);
/// How long a service manager, or a monitor, may take to read a message.
inline constexpr auto barrier = ms(5000);

// ---- Pidfile and controller

/// How long a start waits for other threads that read the pidfile.
inline constexpr auto pidfile_reader = ms(1000);
/// How long a process may take between the exclusion lock and the identity lock, and from a stop signal to
/// the leaving lock. Both take a few system calls. If they take longer than this, the process was stopped by
/// a signal or the machine is very busy.
inline constexpr auto pidfile_lock = ms(2000);
/// How long to wait until a starting daemon has a pid, and until it offers a reload.
inline constexpr auto naming = ms(2000);
/// How long an ending process may keep its locks after it lost its files.
inline constexpr auto ending = ms(1000);
/// How long the kernel may take to show how a process ended.
inline constexpr auto wait_status = ms(100);
/// How long a command waits for the outcome of a reload.
inline constexpr auto reload = ms(30'000);

// ---- An upgrade

/// How long a successor may take to claim the pidfile. Meanwhile the service has no pid.
inline constexpr auto claim = ms(5000);
/// How long a command waits for the outcome of an upgrade.
inline constexpr auto upgrade = ms(120'000);

// ---- Monitor and worker

/// After SIGABRT: time for a core file, and for a handler of the signal.
inline constexpr auto abort = ms(2000);
/// The caller enforces `ready_timeout` itself. The monitor does it this much later: the caller may be gone.
inline constexpr auto caller = ms(5000);
/// Time to forward the last lines of an ended worker, and those of the monitor at its own end. A stop of the
/// service waits for both.
inline constexpr auto last_lines = ms(1000);
inline constexpr auto own_lines = ms(500);
/// Time for the stack of the last worker, if nobody waits for the end.
inline constexpr auto last_stack = ms(5000);
/// How long the threads of a hanging worker may take to write their stacks, and the resolver to read them.
inline constexpr auto thread_notes = ms(500);
inline constexpr auto stack_resolver = ms(5000);
/// How long a worker waits for what it asked its monitor for.
inline constexpr auto monitor_answer = ms(10'000);

// ---- Output and end

/// How long a syslog service may take to accept a line.
inline constexpr auto syslog = ms(2000);
/// How long a failed start waits for the library's thread.
inline constexpr auto own_thread = ms(5000);
/// How long another thread that ends the process waits for a cleanup, if no `cleanup_timeout` is set.
inline constexpr auto cleanup = ms(5000);

}  // namespace daemonctx::graces
