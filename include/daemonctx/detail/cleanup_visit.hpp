// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstddef>

#include "daemonctx/detail/cleanup_stack.hpp"
#include "daemonctx/export.hpp"

namespace daemonctx {

class DaemonContext;

namespace detail {

/// Access to the cleanups of a context. While the visit lasts, no other thread destroys them.
class DAEMONCTX_EXPORT CleanupVisit {
 public:
  explicit CleanupVisit(const DaemonContext* context) noexcept;
  ~CleanupVisit();
  CleanupVisit(const CleanupVisit&) = delete;
  CleanupVisit& operator=(const CleanupVisit&) = delete;

  /// nullptr if the context has ended, or in a forked child.
  CleanupStack* cleanups() const noexcept { return cleanups_; }

 private:
  CleanupStack* cleanups_ = nullptr;
  alignas(void*) std::array<std::byte, 2 * sizeof(void*)> visit_;
};

}  // namespace detail
}  // namespace daemonctx
