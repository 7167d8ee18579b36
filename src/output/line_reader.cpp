// SPDX-License-Identifier: BSL-1.0
#include "output/line_reader.hpp"

#include <algorithm>
#include <posix/syscalls.hpp>
#include <system_error>
#include <utility>

#include "posix/retry.hpp"

namespace daemonctx {

LineReader LineReader::pipe(HandedLines lines) {
  if (lines.reader) {
    LineReader source{std::move(lines.reader), std::move(lines.writer)};
    source.end_ = lines.rest.copy(source.text_.data(), source.text_.size());
    return source;
  }
  std::array<int, 2> ends{};
  if (posix::pipe2(ends.data(), O_CLOEXEC) == -1) throw std::system_error(posix::last_error());
  LineReader source{UniqueFd(ends[0]), UniqueFd(ends[1])};
  if (posix::fcntl(ends[0], F_SETFL, O_NONBLOCK) == -1) throw std::system_error(posix::last_error());
  return source;
}

LineReader LineReader::memory() {
  LineReader source{UniqueFd(), UniqueFd(posix::memfd_create("lines", MFD_CLOEXEC))};
  if (!source.writer_ || posix::fcntl(source.writer(), F_SETFL, O_RDWR | O_APPEND) == -1)
    throw std::system_error(posix::last_error());
  return source;
}

void LineReader::close() noexcept {
  reader_.reset();
  writer_.reset();
}

void LineReader::leave_to_writer() noexcept {
  reader_.reset();
  posix::fcntl(writer(), F_SETFL, O_WRONLY);
}

std::size_t LineReader::waiting() const noexcept {
  int size = 0;
  if (reader_) return posix::ioctl(reader(), FIONREAD, &size) == -1 ? 0 : static_cast<std::size_t>(size);
  struct stat file {};
  return posix::fstat(writer(), &file) == -1 ? 0 : static_cast<std::size_t>(file.st_size - place_);
}

std::size_t LineReader::read_more() noexcept {
  std::move(text_.data() + begin_, text_.data() + end_, text_.data());
  end_ -= std::exchange(begin_, 0);
  const std::size_t room = text_.size() - end_;
  char* const to = text_.data() + end_;
  const auto size = posix::retry(
      [&] { return reader_ ? posix::read(reader(), to, room) : posix::pread(writer(), to, room, place_); });
  if (!reader_ && size == 0 && room > 0 && place_ > 0) {  // all lines are read
    static_cast<void>(posix::ftruncate(writer(), 0));
    place_ = 0;
  }
  if (size <= 0) return 0;
  if (!reader_) place_ += size;
  end_ += static_cast<std::size_t>(size);
  return static_cast<std::size_t>(size);
}

std::optional<LineReader::Piece> LineReader::next(bool also_rest) noexcept {
  const std::string_view rest(text_.data() + begin_, end_ - begin_);
  const auto line = rest.substr(0, rest.find('\n'));
  const bool has_end = line.size() < rest.size();
  const bool is_whole = has_end || also_rest;
  if (rest.empty() || (!is_whole && line.size() < text_.size())) return {};
  begin_ += line.size() + (has_end ? 1 : 0);
  return Piece{line, !std::exchange(within_line_, !is_whole)};
}

}  // namespace daemonctx
