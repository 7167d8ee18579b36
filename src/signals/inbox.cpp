// SPDX-License-Identifier: BSL-1.0
#include "signals/inbox.hpp"

#include <fcntl.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <posix/syscalls.hpp>
#include <string_view>

#include "posix/signals.hpp"
#include "process/owner.hpp"
#include "process/pidfile_claim.hpp"

namespace daemonctx {
namespace {

// Writes to the terminal, where the person is: standard error may lead elsewhere.
void say_still_stopping() noexcept {
  constexpr std::string_view text = ": still stopping; Ctrl-\\ ends it at once\n";
  const int terminal = posix::open("/dev/tty", O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
  if (terminal == -1) return;
  char* const name = ::program_invocation_short_name;
  const std::array<iovec, 2> parts{
      {{name, std::strlen(name)}, {const_cast<char*>(text.data()), text.size()}}};
  [[maybe_unused]] const auto written = posix::writev(terminal, parts.data(), parts.size());
  posix::close(terminal);
}

void receive(int number, const siginfo_t& info) noexcept {
  auto& inbox = signal_inbox;
  // The waiter inside ppoll(2) is no vfork(2) child. Any other thread may be one and must check the owner.
  const bool waits = inbox.waiter == ::pthread_self();
  if (!waits && (inbox.owner != posix::getpid() || !process::is_owner()))
    return posix::pass_to_default(number);
  if (!inbox.receives) return;
  inbox.slots[static_cast<std::size_t>(number)].store(info);
  const bool stops = (inbox.terminating & signal_bit(number)) != 0;
  if (stops && inbox.stop && number == SIGINT && info.si_code == SI_KERNEL) say_still_stopping();
  if (stops) note_stop();
  inbox.pending.fetch_or(signal_bit(number));
  // Notify other waiting threads of a stop at once: this thread may have slow actions to run first.
  if (!waits || stops) inbox.wake.notify();
  if (stops) inbox.stop_wake.notify();
}

}  // namespace

void note_stop() noexcept {
  signal_inbox.stop = true;
  process::show_stop();
  end_all_waits();
}

void end_all_waits() noexcept {
  if (signal_inbox.waits_end.exchange(1) == 0) posix::futex_wake(signal_inbox.waits_end);
}

void note_signal(int number, siginfo_t* info, void*) noexcept {
  const int saved = errno;
  receive(number, *info);
  errno = saved;
}

}  // namespace daemonctx
