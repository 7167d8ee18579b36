// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "pidfile/reload_status.hpp"
#include "posix/unique_fd.hpp"

namespace daemonctx {

/// A worker speaks to its monitor as a service does to its manager, by sd_notify(3), and beside that tells it
/// what the monitor has to know. The monitor passes on what is not for itself.

/// Both ends of a connection for datagrams, one for each worker. \throws std::system_error
struct WorkerConnection {
  UniqueFd monitor;
  UniqueFd worker;
};
WorkerConnection connect_worker();

struct WorkerMessage {
  std::string text;
  UniqueFd descriptor;  // at most one
};

/// Never waits. Empty: there is none.
std::optional<WorkerMessage> receive_message(int fd);

/// What of a worker's message its manager may hear from the monitor: what a service has to say. The manager
/// believes the monitor, which may be root, more than it would the worker; by MAINPID it would go on to
/// watch, and stop, any process.
std::string for_manager(std::string_view text);

/// What is said beside sd_notify(3), and how it is understood.
std::string mapped_message(int signal);
std::optional<int> mapped_signal(std::string_view text);

std::string reload_message(const ReloadNotice& notice);
std::optional<ReloadNotice> told_reload(std::string_view text);

/// Who started the service is gone and never heard that it is ready: there is to be no other worker.
inline constexpr std::string_view cut_off_message = "X_DAEMONCTX_CUT_OFF=1";

/// The monitor is to open the output files anew: it may where a worker may not, and sees them where a worker
/// has another root directory. The answer goes to the descriptor that comes with it.
inline constexpr std::string_view reopen_message = "X_DAEMONCTX_REOPEN=1";

/// Opened anew: output, error, where they are files. Or the text why not.
struct ReopenAnswer {
  UniqueFd out;
  UniqueFd err;
  std::string refusal;
};
/// \param output, error whether descriptor 1 and 2 are files, which are passed on. Others are the monitor's
///   own.
void answer_reopen(UniqueFd asker, const std::string& refusal, bool output, bool error) noexcept;
ReopenAnswer await_reopen(int fd);

}  // namespace daemonctx
