// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <compare>

#include "daemonctx/detail/chrono.hpp"
#include "daemonctx/export.hpp"

namespace daemonctx {

/// Tag for `forever`.
struct Forever {
  explicit Forever() = default;
};

/// The `Timeout` without a limit.
inline constexpr Forever forever{};

/// How long something may take. Every option and call of this library that takes a length of time takes a
/// `Timeout`, and any `std::chrono::duration` converts to one: `.ready_timeout = 30s`.
///
/// Zero means "at once", and is what a `Timeout` holds by default. The conversion saturates: what does not
/// fit into 64 bits of nanoseconds (292 years) is `forever`, such as `std::chrono::hours::max()`. A fraction
/// of a nanosecond is rounded, but not to zero. Not a number (NaN) becomes the most negative value. Options
/// refuse a negative `Timeout`; a call takes it for zero.
class Timeout {
 public:
  constexpr Timeout() noexcept = default;

  constexpr Timeout(Forever) noexcept : length_(std::chrono::nanoseconds::max()) {}  // NOLINT(*-explicit-*)

  template <class Rep, class Period>
  constexpr Timeout(std::chrono::duration<Rep, Period> length) noexcept  // NOLINT(*-explicit-*)
      : length_(saturate(length)) {}

  constexpr bool is_forever() const noexcept { return length_ == std::chrono::nanoseconds::max(); }

  /// `nanoseconds::max()` for `forever`.
  constexpr std::chrono::nanoseconds length() const noexcept { return length_; }

  friend constexpr bool operator==(Timeout one, Timeout other) noexcept {
    return one.length_ == other.length_;
  }
  friend constexpr auto operator<=>(Timeout one, Timeout other) noexcept {
    return one.length_.count() <=> other.length_.count();
  }

 private:
  template <class Rep, class Period>
  static constexpr std::chrono::nanoseconds saturate(std::chrono::duration<Rep, Period> length) noexcept {
    using std::chrono::nanoseconds;
    using Exact = std::ratio_divide<Period, std::nano>;
    const long double wanted = static_cast<long double>(length.count()) * Exact::num / Exact::den;
    // The comparison is true for NaN, too.
    if (!(wanted > static_cast<long double>(nanoseconds::min().count()))) return nanoseconds::min();
    if (wanted >= static_cast<long double>(nanoseconds::max().count())) return nanoseconds::max();
    if constexpr (Exact::den == 1 && std::is_integral_v<Rep>) {
      return nanoseconds(static_cast<nanoseconds::rep>(length.count()) * Exact::num);
    } else {
      const auto rounded = static_cast<nanoseconds::rep>(wanted + (wanted < 0 ? -0.5L : 0.5L));
      return nanoseconds(rounded == 0 && wanted > 0 ? 1 : rounded);
    }
  }

  std::chrono::nanoseconds length_{0};
};

}  // namespace daemonctx
