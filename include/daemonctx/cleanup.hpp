// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <utility>

#include "daemonctx/export.hpp"

namespace daemonctx {

namespace detail {
class CleanupStack;
struct CleanupEntry;
}  // namespace detail

class ScopedCleanup;

/// A handle to one registered cleanup. Copies name the same cleanup, and destroying a handle changes nothing.
/// All members are thread-safe. After the end of the `DaemonContext`, and in a forked child, they do nothing.
class DAEMONCTX_EXPORT Cleanup {
 public:
  /// Names no cleanup.
  Cleanup() noexcept = default;

  /// Forgets the cleanup, which then never runs. False if the cleanup has run, is running or was released.
  bool release() const;

  /// Runs the cleanup now, in this thread, and never again. Where `release` returns false, runs nothing and
  /// returns false.
  /// \throws whatever the cleanup throws.
  bool run_now() const;

 private:
  friend class detail::CleanupStack;
  friend class ScopedCleanup;
  Cleanup(const void* context, unsigned life, detail::CleanupStack* stack, detail::CleanupEntry* entry,
          std::uint64_t serial) noexcept
      : context_(context), stack_(stack), entry_(entry), life_(life), serial_(serial) {}

  bool finish(bool run) const;

  const void* context_ = nullptr;  // `stack_` and `entry_` are valid while this context is open
  detail::CleanupStack* stack_ = nullptr;
  detail::CleanupEntry* entry_ = nullptr;  // if its serial number is not `serial_`, it has a later cleanup
  unsigned life_ = 0;                      // of the context: a later one may lie at the same address
  std::uint64_t serial_ = 0;
};

/// Runs a cleanup at the end of a scope, before the objects that the cleanup refers to are destroyed. Made
/// from the `Cleanup` that `on_exit` returns:
///
///     Connection connection(...);
///     const daemonctx::ScopedCleanup closes = context.on_exit([&] { connection.close(); });
///
/// The destructor runs the cleanup, unless the end of the context or `release` came first. So the cleanup
/// runs while `connection` still exists, also if the process ends by `std::exit`. If another thread that ends
/// the context is in this cleanup, the destructor waits for it, with the limit of `~DaemonContext`. If
/// another thread ends the process while the destructor runs the cleanup, the cleanup may be cut off. An
/// exception goes to `DaemonOptions::on_error`. Reentrant.
class [[nodiscard]] DAEMONCTX_EXPORT ScopedCleanup {
 public:
  ScopedCleanup() noexcept = default;
  ScopedCleanup(Cleanup cleanup) noexcept : cleanup_(cleanup) {}  // NOLINT(*-explicit-*)
  ~ScopedCleanup() { finish(); }
  ScopedCleanup(const ScopedCleanup&) = delete;
  ScopedCleanup& operator=(const ScopedCleanup&) = delete;
  ScopedCleanup(ScopedCleanup&& other) noexcept : cleanup_(std::exchange(other.cleanup_, {})) {}
  ScopedCleanup& operator=(ScopedCleanup&& other) noexcept {
    if (this == &other) return *this;
    finish();
    cleanup_ = std::exchange(other.cleanup_, {});
    return *this;
  }

  /// As `Cleanup::release`. If it returns true, the destructor does nothing.
  bool release() const { return cleanup_.release(); }

 private:
  void finish() noexcept;

  Cleanup cleanup_;
};

}  // namespace daemonctx
