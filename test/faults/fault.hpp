// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <vector>

namespace faults {

/// What happens to one system call of one process.
enum class Kind {
  error,      ///< it fails with `error`
  short_one,  ///< it transfers one byte, or one of several buffers
  kill,       ///< its process gets SIGKILL before it
  terminate,  ///< SIGTERM before it
  pause,      ///< SIGSTOP before it, and SIGCONT a moment later
};

struct Fault {
  Kind kind = Kind::error;
  int error = 0;
  bool for_ever = false;  ///< also all later calls of this number in this process
};

std::string to_string(const Fault& fault);

/// "openat"; the number of a call that is not in the table.
std::string name_of(long call);

/// What a call works on: the command of fcntl(2), or the kind of file that read(2) and write(2) are given.
enum class Target : int { file = 1000, pipe, other };

/// The faults that the manual gives for a call.
/// \param target a command of fcntl(2) or a `Target`
std::vector<Fault> faults_of(long call, int target);

/// Whether the call is carried out and reports its error afterwards: close(2) releases the descriptor anyway.
bool fails_afterwards(long call);

}  // namespace faults
