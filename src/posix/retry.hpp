// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cerrno>
#include <system_error>

namespace daemonctx::posix {

/// Repeats the call while a signal interrupts it (EINTR). Must not be used for close(2).
template <class Call>
auto retry(Call&& call) noexcept {
  auto result = call();
  while (result == -1 && errno == EINTR) result = call();
  return result;
}

/// errno as an error code; `std::generic_category`, so that it compares with `std::errc`.
inline std::error_code last_error() noexcept { return {errno, std::generic_category()}; }

/// Throws a std::system_error of errno: "WHAT: the error's text".
[[noreturn]] inline void throw_last_error(const char* what) { throw std::system_error(last_error(), what); }

/// 0, or the errno of a call that returned -1.
template <class Result>
int error_of(Result result) noexcept {
  return result == -1 ? errno : 0;
}

}  // namespace daemonctx::posix
