// SPDX-License-Identifier: BSL-1.0
#include "launch/status_pipe.hpp"

#include <algorithm>
#include <array>
#include <posix/syscalls.hpp>
#include <utility>

#include "base/one_line.hpp"
#include "posix/retry.hpp"
#include "posix/signals.hpp"

namespace daemonctx {
namespace {

int send(int fd, StatusRecord record, std::string_view text) noexcept {
  text = cut(text, longest_status_text);
  record.text_size = static_cast<std::uint32_t>(text.size());
  const std::array<iovec, 2> parts{{{&record, sizeof record}, {const_cast<char*>(text.data()), text.size()}}};
  posix::NoWriteSignal scope;
  const int error =
      posix::error_of(posix::retry([&] { return posix::writev(fd, parts.data(), parts.size()); }));
  scope.failed(error);
  return error;
}

bool is_valid(const StatusRecord& record) noexcept {
  return (record.kind == StatusRecord::Kind::ready || record.kind == StatusRecord::Kind::failure) &&
         record.step >= 0 && record.step <= static_cast<std::int32_t>(Step::run_service) &&
         record.text_size <= longest_status_text;
}

}  // namespace

int StatusWriter::send_ready() const noexcept {
  return send(fd_.get(), {.kind = StatusRecord::Kind::ready}, {});
}

int StatusWriter::send_failure(Step step, int error, std::string_view text) const noexcept {
  return send(fd_.get(),
              {.kind = StatusRecord::Kind::failure, .step = static_cast<std::int32_t>(step), .error = error},
              text);
}

bool StatusWriter::has_reader() const noexcept {
  pollfd writer{fd_.get(), 0, 0};
  return fd_ && posix::poll(&writer, 1, 0) == 0;
}

std::optional<StatusReport> StatusReader::next() {
  while (!is_over_ && !is_complete()) {
    if (!read_some()) return {};
    if (size_ == sizeof record_) begin_text();
  }
  if (is_over_) return {};
  size_ = 0;
  return StatusReport{record_.kind, static_cast<Step>(record_.step), record_.error, std::exchange(text_, {})};
}

// Reads a part of the record, or of its text. Returns false if there is nothing to read now. After the end of
// file, `is_over_` is true.
bool StatusReader::read_some() noexcept {
  const bool has_record = size_ >= sizeof record_;
  char* const begin = has_record ? text_.data() : reinterpret_cast<char*>(&record_);
  const std::size_t done = has_record ? size_ - sizeof record_ : size_;
  const std::size_t whole = has_record ? text_.size() : sizeof record_;
  const auto got = posix::retry([&] { return posix::read(fd_.get(), begin + done, whole - done); });
  if (got > 0) size_ += static_cast<std::size_t>(got);
  else is_over_ = got == 0 || errno != EAGAIN;
  return got > 0;
}

void StatusReader::begin_text() {
  is_over_ = !is_valid(record_);
  if (!is_over_) text_.resize(record_.text_size);
}

StatusPipe create_status_pipe() {
  std::array<int, 2> ends{};
  if (posix::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) == -1) {
    throw DaemonError(Step::create_status_pipe, posix::last_error());
  }
  return {StatusReader(UniqueFd(ends[0])), StatusWriter(UniqueFd(ends[1]))};
}

}  // namespace daemonctx
