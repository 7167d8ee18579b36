// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace daemonctx::posix {

/// A notice that a process shows on a file that other processes can open. The notice consists of POSIX record
/// locks far behind the file's end: the position of a lock encodes its value. The content of the file stays
/// as it was. A notice needs no disk space, and no right but the open descriptor. The kernel names the
/// author, so nobody can forge a notice. A notice is gone when its author ends, or closes any descriptor of
/// the file (fcntl(2)). Any process that may read the file can read the notice. Such a process can also keep
/// the notice from being changed, by read locks.
///
/// A board has some numbers and texts. Only one thread at a time may change a board.

/// `upgrade` is below 2^48, the others below 2^57.
enum class BoardNumber { reload, worker_number, began, end, uptime, sign_of_life, tag, upgrade };
enum class BoardText { refusal, status, upgrade_refusal, program };

/// In bytes.
constexpr std::size_t longest(BoardText which) noexcept {
  switch (which) {
    case BoardText::refusal:
      return 245;
    case BoardText::status:
      return 140;
    case BoardText::upgrade_refusal:
      return 246;
    case BoardText::program:
      break;
  }
  return 1800;
}

/// \return 0 or an errno.
int show_number(int fd, BoardNumber which, std::uint64_t number) noexcept;

/// The text is cut after `longest(which)` bytes, and at a NUL. \return 0 or an errno.
int show_text(int fd, BoardText which, std::string_view text) noexcept;

/// These functions read what the process `author` shows. `fd` may be read-only. While `author` changes a
/// number, `shown_number` returns the old or the new one. While it changes the text, `shown_text` may return
/// a mixture.
std::optional<std::uint64_t> shown_number(int fd, BoardNumber which, pid_t author) noexcept;
std::string shown_text(int fd, BoardText which, pid_t author);

}  // namespace daemonctx::posix
