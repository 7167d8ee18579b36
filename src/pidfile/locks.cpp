// SPDX-License-Identifier: BSL-1.0
#include "pidfile/locks.hpp"

#include <algorithm>
#include <posix/syscalls.hpp>

#include "features.hpp"
#include "posix/retry.hpp"

namespace daemonctx::posix {
namespace {

constexpr off_t exclusion_byte = 0;
constexpr off_t identity_byte = 1;
constexpr off_t readiness_byte = 2;
constexpr off_t worker_byte = 3;
constexpr off_t leaving_byte = 4;

struct flock lock_on(off_t byte, short type) noexcept {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  return lock;
}

int set(int fd, off_t byte) noexcept {
  struct flock lock = lock_on(byte, F_WRLCK);
  return error_of(posix::fcntl(fd, F_SETLK, &lock));
}

// Asks for a lock that conflicts with F_RDLCK: a write lock, which needs write permission on the file.
int ask(int fd, off_t byte, struct flock& lock) noexcept {
  lock = lock_on(byte, F_RDLCK);
  return error_of(posix::fcntl(fd, F_GETLK, &lock));
}

bool is_busy(int error) noexcept { return error == EAGAIN || error == EACCES; }

bool is_locked(int fd, off_t byte) noexcept {
  struct flock lock {};
  return ask(fd, byte, lock) == 0 && lock.l_type != F_UNLCK;
}

}  // namespace

int lock_exclusion(int fd) noexcept {
#if DAEMONCTX_HAVE_OFD_LOCKS
  struct flock lock = lock_on(exclusion_byte, F_WRLCK);
  const int error = error_of(posix::fcntl(fd, F_OFD_SETLK, &lock));
  if (error == EACCES) return EAGAIN;
  if (error != EINVAL) return error;
#endif
  return error_of(posix::flock(fd, LOCK_EX | LOCK_NB));
}

int lock_identity(int fd) noexcept { return set(fd, identity_byte); }

void unlock_identity(int fd) noexcept {
  struct flock lock = lock_on(identity_byte, F_UNLCK);
  lock.l_len = 0;  // up to the end of all places
  posix::fcntl(fd, F_SETLK, &lock);
}

// A user who may read the file can hold a read lock there. A short one is waited for.
int lock_readiness(int fd) noexcept {
  constexpr int most_attempts = 200;
  constexpr int pause = 10;  // ms
  int error = set(fd, readiness_byte);
  for (int attempt = 0; is_busy(error) && attempt < most_attempts; ++attempt) {
    posix::poll(nullptr, 0, pause);
    error = set(fd, readiness_byte);
  }
  return error;
}

bool show_leaving(int fd, bool leaves) noexcept {
  struct flock lock = lock_on(leaving_byte, leaves ? F_WRLCK : F_UNLCK);
  return posix::fcntl(fd, F_SETLK, &lock) == 0;
}

int lock_as_worker(int fd) noexcept {
#if DAEMONCTX_HAVE_OFD_LOCKS
  struct flock lock = lock_on(worker_byte, F_RDLCK);
  return error_of(posix::fcntl(fd, F_OFD_SETLK, &lock));
#else
  static_cast<void>(fd);
  return EINVAL;
#endif
}

IdentityHolder identity_holder(int fd) noexcept {
  struct flock lock {};
  if (const int error = ask(fd, identity_byte, lock)) return {false, 0, error};
  if (lock.l_type == F_UNLCK) return {};
  return {true, lock.l_pid > 0 ? lock.l_pid : 0, 0};
}

std::optional<pid_t> blocking_reader(int fd) noexcept {
  for (const off_t byte : {exclusion_byte, identity_byte, readiness_byte}) {
    struct flock lock = lock_on(byte, F_WRLCK);
    if (posix::fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type == F_RDLCK) return std::max(lock.l_pid, 0);
  }
  return {};
}

bool is_marked_ready(int fd) noexcept { return is_locked(fd, readiness_byte); }

bool is_marked_leaving(int fd) noexcept {
  struct flock lock = lock_on(leaving_byte, F_WRLCK);
  return posix::fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

bool shows_leaving(int fd) noexcept { return is_locked(fd, leaving_byte); }

bool has_worker(int fd) noexcept {
  struct flock lock = lock_on(worker_byte, F_WRLCK);
  return posix::fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

bool is_excluded(int fd) noexcept { return is_locked(fd, exclusion_byte); }

}  // namespace daemonctx::posix
