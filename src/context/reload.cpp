// SPDX-License-Identifier: BSL-1.0
#include "context/reload.hpp"

#include <cxxabi.h>

#include <posix/syscalls.hpp>
#include <utility>

#include "process/owner.hpp"

namespace daemonctx {

// Destroys the former function outside the lock: its destructor runs user code.
void ReloadState::offer(std::function<void()> reload) {
  Function function = std::make_shared<const std::function<void()>>(std::move(reload));
  const std::lock_guard lock(mutex_);
  std::swap(reload_, function);
}

int ReloadState::show_offer() noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (notice_.running) return 0;
  }
  return show(show_outcome);
}

bool ReloadState::is_offered() noexcept {
  const std::lock_guard lock(mutex_);
  return static_cast<bool>(reload_);
}

void ReloadState::run() {
  if (!begin()) return;
  show(show_progress);
  while (run_once()) show(show_progress);
}

bool ReloadState::begin() {
  const std::lock_guard lock(mutex_);
  runs_again_ = notice_.running;
  if (!reload_ || runs_again_) return false;
  notice_.running = true;
  return true;
}

// Returns whether another reload was requested meanwhile.
bool ReloadState::run_once() {
  Function reload;
  {
    const std::lock_guard lock(mutex_);
    reload = reload_;
  }
  const bool tells_manager = readiness_.is_ready();
  if (tells_manager) resources_.manager.reloading();
  std::exception_ptr error;
  try {
    call(reload, tells_manager);
  } catch (const abi::__forced_unwind&) {  // pthread_cancel(3) requires that this is rethrown
    throw;
  } catch (...) {
    error = std::current_exception();
  }
  if (!process::is_owner()) return false;  // a child that the reload forked, and that returned
  if (error) {
    report_(error);
    if (!process::is_owner()) return false;  // a child that `on_error` forked
    resources_.manager.show_meanwhile("reload failed: " + message_of(error));
  } else {
    resources_.manager.resume_status();
  }
  if (tells_manager) resources_.manager.ready(0);
  return finish(error != nullptr, message_of(error));
}

void ReloadState::call(const Function& reload, bool tells_manager) {
  try {
    (*reload)();
  } catch (const abi::__forced_unwind&) {
    if (!process::is_owner()) throw;
    if (tells_manager) resources_.manager.ready(0);
    finish(true, "the thread was cancelled", false);
    throw;
  }
}

// Ends the reload, and decides under the same lock whether this thread runs another one: as soon as the
// reload has ended, another thread may begin.
bool ReloadState::finish(bool is_refused, std::string text, bool may_repeat) noexcept {
  bool again = false;
  {
    const std::lock_guard lock(mutex_);
    again = std::exchange(runs_again_, false) && may_repeat;
    notice_ = {notice_.finished + 1, again, is_refused, std::move(text)};
  }
  show(show_outcome);
  return again;
}

int ReloadState::show(int (*show)(int, const ReloadNotice&) noexcept) noexcept {
  return resources_.show_reload(show, [this] {
    const std::lock_guard lock(mutex_);
    return notice_;
  });
}

}  // namespace daemonctx
