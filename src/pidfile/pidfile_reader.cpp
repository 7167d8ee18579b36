// SPDX-License-Identifier: BSL-1.0
#include "pidfile/pidfile_reader.hpp"

#include <posix/syscalls.hpp>
#include <utility>

#include "posix/retry.hpp"
#include "process/pidfile_claim.hpp"
#include "safe_path/trusted_path.hpp"

namespace daemonctx {

using process::pidfile_claim;

PidfileReader::PidfileReader(const Path& path) noexcept : counts_(true) {
  ++pidfile_claim.open_readers;  // before `own`: claim() publishes first, then waits for 0
  own_ = Pidfile::own(path);
  if (own_ == Pidfile::Own::no) open(path);
  if (fd_.get() == -1) close();
}

void PidfileReader::open(const Path& path) noexcept {
  // O_NONBLOCK: a FIFO in place of the file must not block this thread.
  constexpr int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
  posix::DirectoryEntry entry;
  error_ = posix::find_entry(path.c_str(), posix::LastComponent::keep, entry);
  if (error_ != 0) return;
  fd_.reset(posix::retry([&] { return posix::openat(entry.directory.get(), entry.name.data(), flags); }));
  struct stat file {};
  if (!fd_ || posix::fstat(fd_.get(), &file) == -1)
    error_ = errno == EAGAIN ? EBUSY : errno;  // another process has a lease (F_SETLEASE)
  else if (!S_ISREG(file.st_mode)) error_ = S_ISDIR(file.st_mode) ? EISDIR : ENODEV;
  else if (file.st_nlink > 1) error_ = EMLINK;  // another user may have linked another daemon's here
  if (error_ != 0) fd_.reset();
}

PidfileReader::PidfileReader(PidfileReader&& other) noexcept
    : own_(other.own_),
      error_(other.error_),
      counts_(std::exchange(other.counts_, false)),
      fd_(std::move(other.fd_)) {}

PidfileReader& PidfileReader::operator=(PidfileReader&& other) noexcept {
  if (this == &other) return *this;
  close();
  own_ = other.own_;
  error_ = other.error_;
  counts_ = std::exchange(other.counts_, false);
  fd_ = std::move(other.fd_);
  return *this;
}

void PidfileReader::close() noexcept {
  fd_.reset();
  if (std::exchange(counts_, false)) --pidfile_claim.open_readers;
}

}  // namespace daemonctx
