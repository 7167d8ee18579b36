// SPDX-License-Identifier: BSL-1.0
#include "context/heir.hpp"

#include <sys/socket.h>

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

// A process that ends before the predecessor was told leaves all files to it.
void Heir::wait(const Steps& steps) noexcept {
  char text = 0;
  const auto size = posix::retry([&] { return posix::recv(channel_.get(), &text, 1, 0); });
  if (has_ended_) return;
  const bool predecessor_lives = size == 1;
  if (const int error = steps.claim(predecessor_lives)) {
    posix::shutdown(channel_.get(), SHUT_WR);  // the predecessor then ends this process, unless it ends first
    static_cast<void>(posix::retry([&] { return posix::recv(channel_.get(), &text, 1, 0); }));
    if (!has_ended_) steps.give_up(error);
    return;
  }
  text = static_cast<char>(ChannelMessage::claimed);
  if (predecessor_lives) static_cast<void>(posix::send(channel_.get(), &text, 1, MSG_NOSIGNAL));
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
