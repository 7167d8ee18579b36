// SPDX-License-Identifier: BSL-1.0

// What a worker asks of its monitor besides signals and readiness.

#include <algorithm>
#include <posix/syscalls.hpp>
#include <system_error>

#include "context/daemon_context_impl.hpp"
#include "posix/retry.hpp"
#include "supervise/sealed_memory.hpp"
#include "supervise/worker_protocol.hpp"

namespace daemonctx {

void DaemonContext::Impl::remember(Memory which, std::string_view bytes) const {
  if (!resources.worker.is_worker()) return;
  const std::string refusal = ask_to_keep(resources.manager, which, sealed_memory(bytes));
  if (!refusal.empty()) throw std::system_error(std::make_error_code(std::errc::io_error), refusal);
}

std::optional<std::string> DaemonContext::Impl::remembered(Memory which) const {
  const UniqueFd& memory = resources.worker.remembered.at(static_cast<std::size_t>(which));
  return memory ? std::optional(bytes_of(memory)) : std::nullopt;
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
