// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <signal.h>

#include <optional>
#include <string>
#include <string_view>

#include "upgrade/hand_over.hpp"
#include "upgrade/program.hpp"

namespace daemonctx {

/// Executes a program in place of this process's own, with the record of what it takes over. The pid and its
/// locks stay, as long as no descriptor of the pidfile is closed. The working directory and the umask become
/// those of the program's start.
/// \param mask the signal mask for the program.
/// \return an errno; nothing has changed then. \pre One thread; all signals are blocked.
int execute_in_place(const Program& program, const HandOver& record, const sigset_t& mask) noexcept;

/// In a program that `execute_in_place` has executed, and that has not taken over yet: executes the former
/// program again, which goes on. Does nothing in other processes. A program that ends by exit(3) or by
/// returning from `main` calls it by itself.
void go_back(std::string_view why) noexcept;

/// From now on `go_back` does nothing.
void stay() noexcept;

/// Whether this program is the former one, which was executed again.
bool was_handed_back() noexcept;

/// In such a program: why, and forgets it. Empty in another program.
std::optional<std::string> take_reason_of_return();

}  // namespace daemonctx
