// SPDX-License-Identifier: BSL-1.0
#include "posix/file_lock.hpp"

#include <posix/syscalls.hpp>

#include "features.hpp"
#include "posix/retry.hpp"

namespace daemonctx::posix {
namespace {

constexpr off_t identity_byte = 1;

struct flock write_lock_on(off_t byte) noexcept {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  return lock;
}

}  // namespace

int lock_exclusion(int fd) noexcept {
#if DAEMONCTX_HAVE_OFD_LOCKS
  struct flock lock = write_lock_on(0);
  const int error = error_of(posix::fcntl(fd, F_OFD_SETLK, &lock));
  if (error == EACCES) return EAGAIN;
  if (error != EINVAL) return error;
#endif
  return error_of(posix::flock(fd, LOCK_EX | LOCK_NB));
}

int lock_identity(int fd) noexcept {
  struct flock lock = write_lock_on(identity_byte);
  return error_of(posix::fcntl(fd, F_SETLK, &lock));
}

IdentityHolder identity_holder(int fd) noexcept {
  struct flock lock = write_lock_on(identity_byte);
  if (posix::fcntl(fd, F_GETLK, &lock) == -1 || lock.l_type == F_UNLCK) return {};
  return {true, lock.l_pid > 0 ? lock.l_pid : 0};
}

bool is_excluded(int fd) noexcept {
  struct flock lock = write_lock_on(0);
  return posix::fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

}  // namespace daemonctx::posix
