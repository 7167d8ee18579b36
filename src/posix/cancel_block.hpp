// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <pthread.h>

namespace daemonctx::posix {

/// Delays pthread_cancel(3) of this thread until the end of the scope.
class CancelBlock {
 public:
  CancelBlock() noexcept { ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &former_); }
  ~CancelBlock() { ::pthread_setcancelstate(former_, nullptr); }
  CancelBlock(const CancelBlock&) = delete;
  CancelBlock& operator=(const CancelBlock&) = delete;

 private:
  int former_ = PTHREAD_CANCEL_ENABLE;
};

}  // namespace daemonctx::posix
