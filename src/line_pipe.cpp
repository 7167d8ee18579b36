// SPDX-License-Identifier: BSL-1.0
#include "line_pipe.hpp"

#include <algorithm>
#include <posix/syscalls.hpp>
#include <system_error>
#include <utility>

#include "posix/retry.hpp"

namespace daemonctx {

LinePipe::LinePipe() {
  std::array<int, 2> ends{};
  if (posix::pipe2(ends.data(), O_CLOEXEC) == -1) throw std::system_error(posix::last_error());
  reader_.reset(ends[0]);
  writer_.reset(ends[1]);
  if (posix::fcntl(reader_.get(), F_SETFL, O_NONBLOCK) == -1) throw std::system_error(posix::last_error());
}

int LinePipe::never_wait() noexcept {
  return posix::error_of(posix::fcntl(writer_.get(), F_SETFL, O_WRONLY | O_NONBLOCK));
}

bool LinePipe::read_more() noexcept {
  std::move(text_.begin() + begin_, text_.begin() + end_, text_.begin());
  end_ -= std::exchange(begin_, 0);
  if (end_ == text_.size()) return true;
  const auto size =
      posix::retry([&] { return posix::read(reader_.get(), text_.data() + end_, text_.size() - end_); });
  if (size <= 0) return false;
  end_ += static_cast<std::size_t>(size);
  return true;
}

std::optional<LinePipe::Piece> LinePipe::next(bool also_rest) noexcept {
  const std::string_view rest(text_.data() + begin_, end_ - begin_);
  const auto line = rest.substr(0, rest.find('\n'));
  const bool has_end = line.size() < rest.size();
  const bool is_whole = has_end || also_rest;
  if (rest.empty() || (!is_whole && line.size() < text_.size())) return {};
  begin_ += line.size() + (has_end ? 1 : 0);
  return Piece{line, !std::exchange(within_line_, !is_whole)};
}

}  // namespace daemonctx
