// SPDX-License-Identifier: BSL-1.0

// What a worker asks of its monitor besides readiness.

#include <algorithm>
#include <posix/syscalls.hpp>
#include <system_error>

#include "base/graces.hpp"
#include "context/daemon_context_impl.hpp"
#include "posix/retry.hpp"
#include "posix/sealed_memory.hpp"
#include "supervise/worker_protocol.hpp"

namespace daemonctx {
namespace {

void check_told(int error) {
  if (error == 0 || error == ETIMEDOUT) return;
  throw std::system_error(error, std::generic_category(), "cannot tell the monitor");
}

}  // namespace

void DaemonContext::Impl::map_signal(int number, SignalAction action) {
  signals.map(number, std::move(action));
  // Wait until the monitor has mapped the signal too: until then the signal would kill the monitor.
  if (resources.worker.is_worker()) {
    tell_monitor(mapped_message(number));
  }
}

// Waits until the monitor has read the message. A monitor that takes longer reads it later.
void DaemonContext::Impl::tell_monitor(std::string_view message) {
  check_told(resources.manager.barrier(graces::barrier, message));
}

void DaemonContext::Impl::offer_reload(std::function<void()> function) {
  reload.offer(std::move(function));
  map_signal(SIGHUP, Action::reload);
  check_told(reload.show_offer());
  // Wait until the monitor has shown the offer: the service may announce it as soon as this returns.
  // The monitor reads this message after the offer.
  if (resources.worker.is_worker()) {
    tell_monitor("X_DAEMONCTX_BARRIER=1");
  }
}

void DaemonContext::Impl::remember(Memory which, std::string_view bytes) {
  if (!resources.worker.is_worker()) {
    const bool is_wanted = which == Memory::program && upgrade.is_offered();
    return is_wanted ? resources.keep_memory(posix::sealed_memory(bytes)) : void();
  }
  const std::string refusal = ask_to_keep(resources.manager, which, posix::sealed_memory(bytes));
  if (!refusal.empty()) throw std::system_error(std::make_error_code(std::errc::io_error), refusal);
}

std::optional<std::string> DaemonContext::Impl::remembered(Memory which) const {
  const UniqueFd& memory = resources.worker.remembered.at(static_cast<std::size_t>(which));
  return memory ? std::optional(posix::bytes_of(memory)) : std::nullopt;
}

// Behind another root directory the path leads to another file. Empty, with errno, on failure.
UniqueFd DaemonContext::Impl::open_file(const Path& file) const {
  constexpr int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  const auto& named = plan.options.respawn_policy.monitor_opens;
  const auto place = std::find(named.begin(), named.end(), file);
  const bool can_ask = place != named.end() && resources.worker.is_worker();
  UniqueFd opened;
  errno = EACCES;
  if (!can_ask || !resources.left_root)
    opened.reset(posix::retry([&] { return posix::open(file.c_str(), flags); }));
  if (opened || !can_ask || errno != EACCES) return opened;
  return ask_to_open(resources.manager, static_cast<std::size_t>(place - named.begin()));
}

}  // namespace daemonctx
