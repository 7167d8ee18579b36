// SPDX-License-Identifier: BSL-1.0
#include "output/output_repair.hpp"

#include <poll.h>

#include <cerrno>
#include <exception>
#include <new>
#include <posix/syscalls.hpp>
#include <utility>

#include "base/deadline.hpp"
#include "output/journal.hpp"
#include "output/journal_stream.hpp"
#include "output/own_line.hpp"
#include "posix/flush_streams.hpp"
#include "posix/retry.hpp"

namespace daemonctx {
namespace {

using posix::Clock;

// How often a journal that is gone, or a disk without room, is tried again.
constexpr std::chrono::seconds repair_slice{1};

short events_of(int fd, short wanted) noexcept {
  pollfd found{fd, wanted, 0};
  return posix::poll(&found, 1, 0) == 1 ? found.revents : short{0};
}

bool is_broken(int fd) noexcept { return (events_of(fd, 0) & (POLLHUP | POLLERR | POLLNVAL)) != 0; }

bool is_same_file(int one, int other) noexcept {
  struct stat first {};
  struct stat second {};
  return posix::fstat(one, &first) == 0 && posix::fstat(other, &second) == 0 &&
         first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

bool is_given(const StdioTarget& target) noexcept {
  using Kind = StdioTarget::Kind;
  return target.kind() == Kind::automatic || target.kind() == Kind::inherit ||
         target.kind() == Kind::descriptor;
}

std::string identifier_of(const StdioTarget& target) {
  const bool is_named = target.kind() == StdioTarget::Kind::journal;
  return is_named ? target.identifier() : ::program_invocation_short_name;
}

}  // namespace

void OutputRepair::begin(const Stdio& stdio, bool may_connect) {
  for (std::size_t at = 0; at < streams_.size(); ++at) {
    const StdioTarget& target = at == 0 ? stdio.out : stdio.err;
    Stream& stream = streams_.at(at);
    stream.identifier = identifier_of(target);
    stream.journal = journal_of(stream.fd);
    stream.is_log = !is_given(target) || !stream.journal.empty();
    if (!may_connect) stream.journal.clear();
    if (!stream.journal.empty()) watched_.at(at) = stream.fd;
  }
  begun_ = true;
}

Clock::time_point OutputRepair::repair(const Stdio& stdio, bool may_connect) noexcept {
  try {
    if (!begun_) begin(stdio, may_connect);
  } catch (const std::bad_alloc&) {
    return posix::deadline_in(repair_slice);
  }
  if (streams_[0].is_log) streams_[0].lost |= revive_output();
  if (streams_[1].is_log) streams_[1].lost |= revive_error_output();
  bool is_whole = reconnect();
  // Where both lead to the same file one line is enough.
  if (streams_[0].lost && streams_[1].lost && is_same_file(STDOUT_FILENO, STDERR_FILENO))
    streams_[0].lost = false;
  for (Stream& stream : streams_) is_whole = tell_loss(stream) && is_whole;
  return is_whole ? Clock::time_point::max() : posix::deadline_in(repair_slice);
}

// False if a journal is gone and can't be reached yet.
bool OutputRepair::reconnect() noexcept {
  bool all = true;
  for (std::size_t at = 0; at < streams_.size(); ++at) {
    Stream& stream = streams_.at(at);
    if (stream.journal.empty() || (watched_.at(at) != -1 && !is_broken(stream.fd))) continue;
    watched_.at(at) = -1;
    try {
      if (journal_of(stream.fd) != stream.journal) {
        stream = {stream.fd};  // the program has closed it, or uses its number otherwise
        continue;
      }
      const UniqueFd fresh = open_journal(stream.identifier, stream.journal);
      if (posix::dup2(fresh.get(), stream.fd) != -1) watched_.at(at) = stream.fd;
    } catch (const std::exception&) {
      static_cast<void>(0);  // tried again later
    }
    all = all && watched_.at(at) != -1;
  }
  return all;
}

// False if there is something to say and no room for it.
bool OutputRepair::tell_loss(Stream& stream) noexcept {
  if (!stream.lost) return true;
  if ((events_of(stream.fd, POLLOUT) & POLLOUT) == 0) return false;  // the write would block
  try {
    stream.lost =
        write_line(stream.fd, error_line("output", "lines were lost here: they could not be written")) != 0;
  } catch (const std::bad_alloc&) {
    return false;
  }
  return !stream.lost;
}

}  // namespace daemonctx
