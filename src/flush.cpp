// SPDX-License-Identifier: BSL-1.0
#include "flush.hpp"

#include <cstdio>
#include <iostream>

#include "posix/threads.hpp"

namespace daemonctx {

void flush_streams() noexcept {
  // fflush(nullptr) waits for every stream, also for one that another thread is blocked in reading.
  if (posix::is_single_threaded()) std::fflush(nullptr);
  std::fflush(stdout);
  std::fflush(stderr);
  for (std::ostream* stream : {&std::cout, &std::cerr, &std::clog}) {
    try {
      stream->flush();
    } catch (...) {  // a stream told to throw; the text is the user's, and so is its loss
      continue;
    }
  }
}

}  // namespace daemonctx
