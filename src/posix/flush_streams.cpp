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

namespace {

bool revive(std::ostream& stream) noexcept {
  if (!stream.bad() || stream.rdbuf() == nullptr) return false;
  try {
    stream.clear(stream.rdstate() & ~std::ios::badbit);
  } catch (...) {  // a stream told to throw for another state that it has
    return true;
  }
  return true;
}

bool revive(std::FILE* stream) noexcept {
  if (::ferror_unlocked(stream) == 0) return false;
  ::clearerr_unlocked(stream);
  return true;
}

}  // namespace

bool revive_output() noexcept {
  const bool is_broken = revive(std::cout);
  return revive(stdout) || is_broken;
}

bool revive_error_output() noexcept {
  const bool log = revive(std::clog);
  const bool error = revive(std::cerr);
  return revive(stderr) || error || log;
}

}  // namespace daemonctx
