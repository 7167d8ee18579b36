// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace daemonctx::posix {

/// A notice that a process shows on a file that others can open. It is made of POSIX record locks far behind
/// the file's end: where a lock lies is what it says. So the content of the file stays what it was, the
/// kernel names the author, nobody can forge the notice, it needs no space on the disk and no right but the
/// open descriptor, and it is gone when its author is. Like all such locks it is lost when the author closes
/// any descriptor of the file. Whoever may read the file can read the notice, and can also keep it from being
/// changed, by read locks.
///
/// A board has some numbers and a text. One thread at a time may change it.

inline constexpr std::size_t longest_board_text = 399;  ///< bytes

enum class BoardNumber { reload, incarnation, began, end, uptime };

/// \param number below 2^56.
/// \return 0 or an errno.
int show_number(int fd, BoardNumber which, std::uint64_t number) noexcept;

/// A longer text is cut, also where it has a NUL. \return 0 or an errno.
int show_text(int fd, std::string_view text) noexcept;

/// What `author` shows; `fd` may be read-only. While the number is being changed, either is read; a text that
/// is being changed may be read torn.
std::optional<std::uint64_t> shown_number(int fd, BoardNumber which, pid_t author) noexcept;
std::string shown_text(int fd, pid_t author);

}  // namespace daemonctx::posix
