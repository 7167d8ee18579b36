// SPDX-License-Identifier: BSL-1.0
#include "flush.hpp"

#include <cstdio>
#include <iostream>

namespace daemonctx {

void flush_streams() noexcept {
  std::fflush(nullptr);
  for (std::ostream* stream : {&std::cout, &std::cerr, &std::clog}) {
    try {
      stream->flush();
    } catch (...) {  // a stream told to throw; the text is the user's, and so is its loss
      continue;
    }
  }
}

}  // namespace daemonctx
