// SPDX-License-Identifier: BSL-1.0
#include "launch/status_pipe.hpp"

#include <algorithm>
#include <array>
#include <posix/syscalls.hpp>

#include "posix/retry.hpp"
#include "posix/signals.hpp"

namespace daemonctx {
namespace {

int send(int fd, StatusRecord record, std::string_view text) noexcept {
  text = text.substr(0, longest_status_text);
  record.text_size = static_cast<std::uint32_t>(text.size());
  const std::array<iovec, 2> parts{{{&record, sizeof record}, {const_cast<char*>(text.data()), text.size()}}};
  posix::NoWriteSignal scope;
  const int error =
      posix::error_of(posix::retry([&] { return posix::writev(fd, parts.data(), parts.size()); }));
  scope.failed(error);
  return error;
}

bool read_exactly(int fd, void* buffer, std::size_t size) noexcept {
  auto* at = static_cast<char*>(buffer);
  while (size > 0) {
    const auto got = posix::retry([&] { return posix::read(fd, at, size); });
    if (got <= 0) return false;
    at += got;
    size -= static_cast<std::size_t>(got);
  }
  return true;
}

}  // namespace

int StatusWriter::send_pid(pid_t daemon) const noexcept {
  return send(fd_.get(), {.kind = StatusRecord::Kind::pid, .pid = daemon}, {});
}

int StatusWriter::send_ready() const noexcept {
  return send(fd_.get(), {.kind = StatusRecord::Kind::ready, .pid = posix::getpid()}, {});
}

int StatusWriter::send_failure(Step step, int error, std::string_view text) const noexcept {
  return send(fd_.get(),
              {.kind = StatusRecord::Kind::failure,
               .pid = posix::getpid(),
               .step = static_cast<std::int32_t>(step),
               .error = error},
              text);
}

bool StatusWriter::has_reader() const noexcept {
  pollfd writer{fd_.get(), 0, 0};
  return fd_ && posix::poll(&writer, 1, 0) == 0;
}

bool StatusReader::receive(StatusRecord& record, std::string& text) const {
  text.clear();
  if (!read_exactly(fd_.get(), &record, sizeof record)) return false;
  text.resize(std::min<std::size_t>(record.text_size, longest_status_text));
  return read_exactly(fd_.get(), text.data(), text.size());
}

StatusPipe create_status_pipe() {
  std::array<int, 2> ends{};
  if (posix::pipe2(ends.data(), O_CLOEXEC) == -1) {
    throw DaemonError(Step::create_status_pipe, posix::last_error());
  }
  return {StatusReader(UniqueFd(ends[0])), StatusWriter(UniqueFd(ends[1]))};
}

}  // namespace daemonctx
