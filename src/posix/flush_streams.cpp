// SPDX-License-Identifier: BSL-1.0
#include "posix/flush_streams.hpp"

#include <cerrno>
#include <cstdio>
#include <iostream>

#include "posix/signals.hpp"
#include "posix/threads.hpp"

namespace daemonctx {

void flush_streams() noexcept {
  posix::NoWriteSignal scope;
  errno = 0;
  // With several threads skip fflush(nullptr): it also waits for a stream that another thread is blocked in
  // reading. Errors are ignored: the lost text is the user's.
  if (posix::is_single_threaded()) static_cast<void>(std::fflush(nullptr));
  static_cast<void>(std::fflush(stdout));
  static_cast<void>(std::fflush(stderr));
  for (std::ostream* stream : {&std::cout, &std::cerr, &std::clog}) {
    try {
      stream->flush();
    } catch (...) {  // a stream told to throw
      continue;
    }
  }
  scope.failed(errno);
}

}  // namespace daemonctx
