// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "manager/sd_notify.hpp"
#include "pidfile/reload_status.hpp"
#include "posix/unique_fd.hpp"
#include "supervise/worker_self.hpp"

namespace daemonctx {

/// A worker speaks to its monitor by sd_notify(3), as a service does to its manager. Further messages are for
/// the monitor alone. The monitor passes on all others.

/// Both ends of a datagram connection. Each worker has a new one. \throws std::system_error
struct WorkerConnection {
  UniqueFd monitor;
  UniqueFd worker;
};
WorkerConnection connect_worker();

/// A connection for one answer. It ends if the monitor had no descriptor left for it. \throws the same
WorkerConnection connect_for_answer();

struct WorkerMessage {
  std::string text;
  UniqueFd descriptor;  // at most one
};

/// Receives one message, never waits. Empty: there is none.
std::optional<WorkerMessage> receive_message(int fd);

/// Whether one of the lines says that the worker is ready.
bool says_ready(std::string_view text) noexcept;

/// The status for people in a worker's message, the value of STATUS=.
std::optional<std::string> told_status(std::string_view text);

/// The lines of a worker's message that the monitor may pass on to the manager. MAINPID is not one of them:
/// the manager trusts the monitor, which may be root, and would watch and stop any process that it names.
std::string for_manager(std::string_view text);

/// Write and parse the messages beside those of sd_notify(3).
std::string mapped_message(int signal);
std::optional<int> mapped_signal(std::string_view text);

std::string reload_message(const ReloadNotice& notice);
std::optional<ReloadNotice> told_reload(std::string_view text);

/// The caller is gone and never heard that the service is ready: the monitor must start no other worker.
inline constexpr std::string_view cut_off_message = "X_DAEMONCTX_CUT_OFF=1";

/// The worker is ready and waits for signals: no unmapped signal is held any more.
inline constexpr std::string_view released_message = "X_DAEMONCTX_RELEASED=1";

/// Asks the monitor to keep what waits in the socket that comes with the message: sealed memory for the next
/// worker.
std::string remember_message(Memory which);
std::optional<Memory> memory_to_keep(std::string_view text);

/// \return the monitor's refusal, or empty. \throws std::system_error if the monitor can't be reached.
std::string ask_to_keep(const SdNotify& monitor, Memory which, const UniqueFd& memory);
/// \return the memory, unless it is not sealed or there was no descriptor left for it.
UniqueFd answer_keep(UniqueFd asker) noexcept;

/// Asks the monitor to open a file of `RespawnPolicy::monitor_opens`, by its place in that list.
std::string open_message(std::size_t place);
std::optional<std::size_t> file_to_open(std::string_view text);

/// \return the file. Empty, with errno, if the monitor can't open it or be reached.
UniqueFd ask_to_open(const SdNotify& monitor, std::size_t place);
/// \param error if there is no file, why.
void answer_open(UniqueFd asker, const UniqueFd& file, int error) noexcept;

/// Tells the monitor of a socket that comes with the message, by its name in the list for a successor. The
/// worker of a new version opens sockets itself, before there is a monitor of that version.
std::string socket_message(std::string_view name);
std::optional<std::string> told_socket(std::string_view text);

/// The value of the SIGTERM that a worker gets because of an upgrade.
inline constexpr int upgrade_stop_value = 0x757067;

/// Asks the monitor to reopen the output files. The monitor may open files that the worker may not open, or
/// does not see behind another root directory. The answer goes to the descriptor that comes with the message.
inline constexpr std::string_view reopen_message = "X_DAEMONCTX_REOPEN=1";

/// The reopened output and error, where they are files, or the reason why the monitor refused.
struct ReopenAnswer {
  UniqueFd out;
  UniqueFd err;
  std::string refusal;
};
/// \param output, error whether descriptors 1 and 2 are files. Files are passed on; anything else is the
///   monitor's own.
void answer_reopen(UniqueFd asker, const std::string& refusal, bool output, bool error) noexcept;
ReopenAnswer await_reopen(const UniqueFd& socket);

}  // namespace daemonctx
