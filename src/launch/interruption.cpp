// SPDX-License-Identifier: BSL-1.0
#include "launch/interruption.hpp"

#include <cerrno>
#include <posix/syscalls.hpp>

#include "posix/signals.hpp"
#include "process/interruption_note.hpp"

namespace daemonctx {
namespace {

using process::interruption_note;

// A child that was forked while the caller waits has the handler, but no thread that waits. A vfork(2) child
// shares the note.
void note_interruption(int signal) noexcept {
  const int saved = errno;
  if (interruption_note.pid == posix::getpid()) {
    interruption_note.signal = signal;
    posix::WakeFd::notify(interruption_note.wake_fd);
  } else {
    posix::pass_to_default(signal);
  }
  errno = saved;
}

}  // namespace

Interruption::Interruption() noexcept {
  wake_.open();
  interruption_note.pid = posix::getpid();
  interruption_note.signal = 0;
  interruption_note.wake_fd = wake_.writer();
  struct sigaction noting {};
  noting.sa_handler = note_interruption;
  sigfillset(&noting.sa_mask);
  for (std::size_t at = 0; at < signals.size(); ++at) {
    posix::sigaction(signals.at(at), nullptr, &former_.at(at));
    if (former_.at(at).sa_handler != SIG_IGN) posix::sigaction(signals.at(at), &noting, nullptr);
  }
}

Interruption::~Interruption() {
  for (std::size_t at = 0; at < signals.size(); ++at) {
    posix::sigaction(signals.at(at), &former_.at(at), nullptr);
  }
  interruption_note.wake_fd = -1;
  if (interruption_note.signal != 0) static_cast<void>(::raise(interruption_note.signal));
}

int Interruption::signal() const noexcept { return interruption_note.signal; }

}  // namespace daemonctx
