// SPDX-License-Identifier: BSL-1.0
#include "posix/flush_streams.hpp"

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ostream>

#include "posix/signals.hpp"
#include "posix/threads.hpp"

// Weak references to libstdc++: only a program that prints to std::cout or std::cerr pays for them, and for
// the locales behind them, which are the larger part of a small static daemon.
#if defined(__GLIBCXX__) && !_GLIBCXX_INLINE_VERSION
#define DAEMONCTX_WEAK(name) __asm__(name) __attribute__((weak))
#else
#include <iostream>
#endif

namespace daemonctx {
namespace libstdcxx {

#ifdef DAEMONCTX_WEAK
extern std::ostream cout DAEMONCTX_WEAK("_ZSt4cout");
extern std::ostream cerr DAEMONCTX_WEAK("_ZSt4cerr");
extern std::ostream clog DAEMONCTX_WEAK("_ZSt4clog");
std::ostream& flush(std::ostream* stream) DAEMONCTX_WEAK("_ZNSo5flushEv");
void clear(std::ios* stream, std::ios::iostate state)
    DAEMONCTX_WEAK("_ZNSt9basic_iosIcSt11char_traitsIcEE5clearESt12_Ios_Iostate");
#else
using std::cerr;
using std::clog;
using std::cout;
std::ostream& flush(std::ostream* stream) { return stream->flush(); }
void clear(std::ios* stream, std::ios::iostate state) { stream->clear(state); }
#endif

}  // namespace libstdcxx

namespace {

// A shared libstdc++ before version 13 has the objects, but constructs them only for a program that includes
// <iostream>. Until then their first word, which points to virtual functions, is 0.
bool is_used(const std::ostream* stream) noexcept {
  std::uintptr_t first_word = 0;
  if (stream != nullptr) std::memcpy(&first_word, static_cast<const void*>(stream), sizeof first_word);
  return first_word != 0;
}

void flush(std::ostream* stream) noexcept {
  if (!is_used(stream)) return;
  try {
    libstdcxx::flush(stream);
  } catch (...) {  // a stream told to throw
    return;
  }
}

}  // namespace

void flush_streams() noexcept {
  posix::NoWriteSignal scope;
  errno = 0;
  // With several threads skip fflush(nullptr): it also waits for a stream that another thread is blocked in
  // reading. Errors are ignored: the lost text is the user's.
  if (posix::is_single_threaded()) static_cast<void>(std::fflush(nullptr));
  static_cast<void>(std::fflush(stdout));
  static_cast<void>(std::fflush(stderr));
  flush(&libstdcxx::cout);
  flush(&libstdcxx::cerr);
  flush(&libstdcxx::clog);
  scope.failed(errno);
}

namespace {

bool revive(std::ostream* stream) noexcept {
  if (!is_used(stream) || !stream->bad() || stream->rdbuf() == nullptr) return false;
  try {
    libstdcxx::clear(stream, stream->rdstate() & ~std::ios::badbit);
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
  const bool is_broken = revive(&libstdcxx::cout);
  return revive(stdout) || is_broken;
}

bool revive_error_output() noexcept {
  const bool log = revive(&libstdcxx::clog);
  const bool error = revive(&libstdcxx::cerr);
  return revive(stderr) || error || log;
}

}  // namespace daemonctx
