// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "daemonctx/detail/handle.hpp"
#include "daemonctx/export.hpp"

namespace daemonctx {

/// A thread of a worker that crashed or hangs, as its signal handler left it in memory that it shares with
/// the monitor. Words that are addresses neither of code nor of this part of the stack are zero: they could
/// be secrets. A worker that an intruder has taken over may have written anything here.
struct CrashedThread {
  pid_t tid = 0;
  std::string name = {};
  std::uintptr_t program_counter = 0;
  std::vector<std::uint64_t> registers = {};  ///< by their DWARF numbers
  std::uintptr_t stack_begin = 0;             ///< the address of `stack`
  std::vector<std::uint64_t> stack = {};      ///< the innermost part
};

/// Turns stacks into text. `daemonctx/stack_resolver.hpp` has one; a program may write its own.
///
/// The monitor forks a child for each crash, which calls both functions, `open` first. In between the child
/// gives up its privileges: as root it becomes the user 65534 ("nobody"), without groups. The child has five
/// seconds; then it is killed.
class DAEMONCTX_EXPORT CrashResolver {
 public:
  CrashResolver() = default;
  CrashResolver(const CrashResolver&) = delete;
  CrashResolver& operator=(const CrashResolver&) = delete;
  virtual ~CrashResolver() = default;

  /// Opens what `resolve` reads, with the monitor's privileges. Nothing that a worker wrote is known yet.
  virtual void open() = 0;

  /// The lines of the report. \throws std::exception, whose text becomes the report.
  virtual std::vector<std::string> resolve(const std::vector<CrashedThread>& threads) = 0;
};

/// A `std::shared_ptr` to a resolver, or a plain pointer to one that outlives the monitor. May be empty.
using CrashReport = detail::Handle<CrashResolver>;

}  // namespace daemonctx
