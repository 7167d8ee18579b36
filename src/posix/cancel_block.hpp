// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <pthread.h>

namespace daemonctx::posix {

/// Within it pthread_cancel(3) of this thread has to wait.
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
