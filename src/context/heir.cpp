// SPDX-License-Identifier: BSL-1.0
#include "context/heir.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <posix/syscalls.hpp>
#include <utility>

#include "posix/retry.hpp"
#include "posix/signals.hpp"
#include "upgrade/successor.hpp"

namespace daemonctx {

Heir::Heir(HandOver record)
    : record_(std::move(record)),
      channel_(UniqueFd(record_.channel)),
      output_(record_.output),
      error_(record_.error) {}

int Heir::put_output_back() noexcept {
  const auto lead = [](int stream, const UniqueFd& to) {
    return !to ? 0 : posix::error_of(posix::retry([&] { return posix::dup2(to.get(), stream); }));
  };
  int error = lead(STDOUT_FILENO, output_);
  if (error == 0) error = lead(STDERR_FILENO, error_);
  output_.reset();
  error_.reset();
  return error;
}

void Heir::await_claim(Steps steps) {
  if (thread_.joinable()) return;
  const posix::SignalBlock blocked;
  thread_ = std::thread([this, kept = std::move(steps)] { wait(kept); });
}

// Returns 1 for a message, and 0 for the end of the predecessor. A shortage of memory is none.
ssize_t Heir::receive() noexcept {
  for (;;) {
    char text = 0;
    const auto size = posix::retry([&] { return posix::recv(channel_.get(), &text, 1, 0); });
    if (size != -1 || errno == ECONNRESET || has_ended_) return std::max<ssize_t>(size, 0);
    posix::poll(nullptr, 0, 1);
  }
}

// The predecessor, if it lives, ends this process once it sees the end of the channel.
void Heir::break_off() noexcept {
  posix::shutdown(channel_.get(), SHUT_WR);
  while (receive() > 0) continue;
}

int Heir::tell_claimed() noexcept {
  const auto text = static_cast<char>(ChannelMessage::claimed);
  return posix::error_of(posix::retry([&] { return posix::send(channel_.get(), &text, 1, MSG_NOSIGNAL); }));
}

// A process that ends before the predecessor was told leaves all files to it.
void Heir::wait(const Steps& steps) noexcept {
  bool predecessor_lives = receive() == 1;
  if (has_ended_) return;
  if (const int error = steps.claim(predecessor_lives)) {
    break_off();
    if (!has_ended_) steps.give_up(error);
    return;
  }
  if (predecessor_lives && tell_claimed() != 0) {
    break_off();
    predecessor_lives = false;
  }
  steps.be_service(predecessor_lives);
}

void Heir::end() noexcept {
  if (!thread_.joinable()) return;
  has_ended_ = true;
  posix::shutdown(channel_.get(), SHUT_RD);
  if (thread_.get_id() == std::this_thread::get_id()) thread_.detach();  // a stop's callback ends the process
  else thread_.join();
}

void Heir::append_descriptors(std::vector<int>& to) const {
  for (const int fd : record_.descriptors()) to.push_back(fd);
}

}  // namespace daemonctx
