// SPDX-License-Identifier: BSL-1.0
#include "pidfile/pidfile.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <posix/syscalls.hpp>
#include <string>
#include <utility>

#include "base/deadline.hpp"
#include "base/graces.hpp"
#include "daemonctx/error.hpp"
#include "pidfile/locks.hpp"
#include "pidfile/open_pidfile.hpp"
#include "posix/pidfd.hpp"
#include "posix/poll_until.hpp"
#include "posix/proc_fs.hpp"
#include "posix/retry.hpp"
#include "posix/signals.hpp"
#include "process/pidfile_claim.hpp"
#include "safe_path/trusted_path.hpp"

namespace daemonctx {
namespace {

using posix::Clock;
using process::pidfile_claim;
using std::chrono::milliseconds;

// How often `lock` may find that the file was replaced before it was locked.
constexpr int most_attempts = 1000;

DaemonError already_running(const Path& path, pid_t pid) {
  const std::string who = pid > 0 ? "pid " + std::to_string(pid) : "pid not known";
  return {Step::lock_pidfile, std::make_error_code(std::errc::file_exists), path.native(),
          "already running, " + who + " (pidfile \"" + path.native() + "\")", pid};
}

DaemonError blocked(const Path& path, pid_t reader) {
  const std::string who = reader > 0 ? "process " + std::to_string(reader) : "some process";
  return {Step::lock_pidfile, std::make_error_code(std::errc::resource_unavailable_try_again), path.native(),
          "cannot lock the pidfile \"" + path.native() + "\": " + who + " holds a read lock on it", reader};
}

bool remove_from(int directory, const char* name, int fd) noexcept {
  return leads_to(directory, name, fd) && posix::unlinkat(directory, name, 0) == 0;
}

bool remove_by_path(const char* path, int fd) noexcept {
  posix::DirectoryEntry entry;
  const int error = posix::find_entry(path, posix::LastComponent::keep, entry);
  if (error == 0) return remove_from(entry.directory.get(), entry.name.data(), fd);
  // A process that has run out of descriptors should still remove its pidfile.
  return (error == EMFILE || error == ENFILE) && remove_from(AT_FDCWD, path, fd);
}

// Waits until the holder of the lock has ended, but at most for a short slice. The holder may give the lock
// up and live on. No event tells that a process has taken a lock.
void wait_for_change(const posix::IdentityHolder& holder, Clock::time_point deadline, const sigset_t* mask) {
  constexpr milliseconds known_slice{10};
  constexpr milliseconds unknown_slice{1};
  UniqueFd process;
  if (holder.pid > 0) process = posix::open_pidfd(holder.pid);
  pollfd ended{process.get(), POLLIN, 0};
  const auto slice_end = posix::deadline_in(process ? known_slice : unknown_slice);
  posix::poll_until({&ended, 1}, std::min(deadline, slice_end), mask);
}

// A worker may briefly outlive a monitor that was killed.
void wait_for_worker(const Path& path, int fd, Clock::time_point deadline, Ticker& ticker,
                     const sigset_t* mask, const std::function<void()>& before_wait) {
  while (posix::has_worker(fd)) {
    if (deadline <= Clock::now()) throw blocked(path, 0);
    if (before_wait) before_wait();
    wait_for_change({}, ticker.wake_up(deadline), mask);
    ticker.tick();
  }
}

// How long `lock` waits for the holder of the lock. A holder that the kernel can't name yet gets
// `graces::pidfile_lock`, whatever the timeout. A holder that is neither starting nor leaving gets no more
// than that: a stop signal may be on its way.
class Patience {
 public:
  explicit Patience(Clock::time_point deadline)
      : deadline_(deadline), naming_deadline_(posix::deadline_in(graces::pidfile_lock)) {}

  Clock::time_point deadline() const noexcept { return deadline_; }

  Clock::time_point until(const posix::IdentityHolder& holder, int fd) {
    if (!holder.held) return std::max(deadline_, naming_deadline_);
    const bool stays =
        posix::is_marked_ready(fd) && !posix::is_marked_leaving(fd) && !posix::is_ending(holder.pid);
    if (holder.pid != staying_) staying_deadline_ = posix::deadline_in(graces::pidfile_lock);
    staying_ = stays ? holder.pid : -1;
    return stays ? std::min(deadline_, staying_deadline_) : deadline_;
  }

 private:
  Clock::time_point deadline_;
  Clock::time_point naming_deadline_;
  Clock::time_point staying_deadline_;
  pid_t staying_ = -1;  // the holder that stays
};

// Returns if `lock` should try again; throws if the time for that has passed.
void wait_for_holder(const Path& path, int fd, Patience& patience, Ticker& ticker, const sigset_t* mask) {
  const posix::IdentityHolder holder = posix::identity_holder(fd);
  const auto until = patience.until(holder, fd);
  if (until <= Clock::now()) throw already_running(path, holder.pid);
  if (const auto reader = posix::blocking_reader(fd); reader && patience.deadline() <= Clock::now()) {
    throw blocked(path, *reader);
  }
  wait_for_change(holder, ticker.wake_up(until), mask);
  ticker.tick();
}

// An open pidfile. If a failed start has created it, it is removed again, but only under its lock: another
// start may have opened it meanwhile.
class OpenPidfile {
 public:
  OpenPidfile(const posix::DirectoryEntry& entry, mode_t mode) noexcept
      : entry_(entry), fd_(open_or_create_pidfile(entry, mode, is_new_)) {}
  ~OpenPidfile() {
    if (is_new_ && fd_ && posix::lock_exclusion(fd_.get()) == 0)
      static_cast<void>(remove_from(entry_.directory.get(), entry_.name.data(), fd_.get()));
  }
  OpenPidfile(const OpenPidfile&) = delete;
  OpenPidfile& operator=(const OpenPidfile&) = delete;

  void check(const Path& path) const { check_pidfile(entry_, path, fd_); }
  int fd() const noexcept { return fd_.get(); }
  bool is_in_place() const noexcept {
    return leads_to(entry_.directory.get(), entry_.name.data(), fd_.get());
  }
  UniqueFd release() noexcept { return std::move(fd_); }

 private:
  const posix::DirectoryEntry& entry_;
  bool is_new_ = false;
  UniqueFd fd_;
};

int wait_for_readers() noexcept {
  const auto deadline = posix::deadline_in(graces::pidfile_reader);
  while (pidfile_claim.open_readers > 0) {
    if (Clock::now() >= deadline) return EBUSY;
    posix::poll(nullptr, 0, 1);
  }
  return 0;
}

constexpr std::size_t longest_pidfile = 64;  // of a file that is taken for a pidfile

// Writes the pid, and line ends over the rest of the first `former` bytes: no reader sees the file empty, or
// a mixture of two numbers. \return 0 or an errno; `size` becomes that of the pid's line.
int write_pid(int fd, std::size_t former, off_t& size) noexcept {
  std::array<char, longest_pidfile> text;
  text.fill('\n');
  char* const end = std::to_chars(text.data(), text.data() + text.size() - 1, posix::getpid()).ptr;
  size = end + 1 - text.data();
  const off_t whole = std::max<off_t>(size, static_cast<off_t>(std::min(former, text.size())));
  posix::NoWriteSignal scope;
  for (off_t at = 0; at < whole;) {
    const auto left = static_cast<std::size_t>(whole - at);
    const auto written = posix::retry([&] { return posix::pwrite(fd, text.data() + at, left, at); });
    scope.failed(posix::error_of(written));
    if (written <= 0) return written == 0 ? ENOSPC : errno;
    at += written;
  }
  return 0;
}

int truncate(int fd, off_t size) noexcept {
  return posix::error_of(posix::retry([&] { return posix::ftruncate(fd, size); }));
}

}  // namespace

Pidfile Pidfile::lock(const Path& path, mode_t mode, Timeout timeout, Ticker& ticker,
                      const sigset_t* waiting_mask, const std::function<void()>& before_wait) {
  const auto deadline = posix::deadline_in(timeout);
  Patience patience(deadline);
  for (int attempt = 0; attempt < most_attempts; ++attempt) {
    const posix::DirectoryEntry entry = find_pidfile(path);
    OpenPidfile file(entry, mode);
    file.check(path);
    const int error = posix::lock_exclusion(file.fd());
    if (error == EAGAIN) {
      if (before_wait) before_wait();
      wait_for_holder(path, file.fd(), patience, ticker, waiting_mask);
      attempt = 0;
    } else if (error != 0) {
      throw DaemonError(Step::lock_pidfile, {error, std::generic_category()}, path.native());
    } else if (file.is_in_place()) {
      if (const auto reader = posix::blocking_reader(file.fd())) throw blocked(path, *reader);
      wait_for_worker(path, file.fd(), patience.until({}, file.fd()), ticker, waiting_mask, before_wait);
      if (posix::fchmod(file.fd(), mode) == -1) {
        throw DaemonError(Step::open_pidfile, posix::last_error(), path.native());
      }
      return {path, process::PrivateFd(file.release())};
    }
  }
  throw DaemonError(Step::lock_pidfile, std::make_error_code(std::errc::resource_unavailable_try_again),
                    path.native(),
                    "cannot lock the pidfile \"" + path.native() + "\": it is replaced all the time");
}

void Pidfile::check(const Path& path) {
  if (own(path) != Own::no) return;  // closing its own pidfile would drop the daemon's locks
  try {
    open_pidfile(find_pidfile(path), path);
  } catch (const DaemonError& error) {
    if (error.code() != std::errc::no_such_file_or_directory) throw;
    const std::string directory = path.parent_path().native();
    if (posix::access(directory.c_str(), W_OK | X_OK) == 0) return;
    throw DaemonError(Step::open_pidfile, posix::last_error(), path.native());
  }
}

bool Pidfile::remove_stale(const Path& path) {
  const posix::DirectoryEntry entry = find_pidfile(path);
  const process::PrivateFd fd(open_pidfile(entry, path));  // a forked child must not keep the lock
  const int error = posix::lock_exclusion(fd.get());
  if (error == EAGAIN) return false;
  if (error != 0) throw DaemonError(Step::lock_pidfile, {error, std::generic_category()}, path.native());
  struct stat file {};
  if (posix::fstat(fd.get(), &file) == -1)
    throw DaemonError(Step::open_pidfile, posix::last_error(), path.native());
  if (file.st_size == 0 || posix::has_worker(fd.get()) ||
      !leads_to(entry.directory.get(), entry.name.data(), fd.get())) {
    return false;
  }
  if (posix::unlinkat(entry.directory.get(), entry.name.data(), 0) == 0) return true;
  throw DaemonError(Step::open_pidfile, posix::last_error(), path.native());
}

int Pidfile::claim() noexcept {
  struct stat file {};
  if (posix::fstat(fd_.get(), &file) == -1) return errno;
  pidfile_claim.device = file.st_dev;
  pidfile_claim.inode = file.st_ino;
  pidfile_claim.ready = false;
  pidfile_claim.pid = posix::getpid();  // from here on no thread of this process opens the file to read
  int error = wait_for_readers();
  if (error == 0) error = posix::lock_identity(fd_.get());
  off_t size = 0;
  if (error == 0) error = write_pid(fd_.get(), static_cast<std::size_t>(file.st_size), size);
  if (error == 0) error = truncate(fd_.get(), size);
  if (error != 0) {
    pidfile_claim.pid = 0;
    return error;
  }
  pidfile_claim.show_stop = posix::show_leaving;
  pidfile_claim.stop_is_shown = false;
  pidfile_claim.shows_stop = fd_.get();
  return 0;
}

int Pidfile::mark_ready() noexcept {
  if (const int error = posix::lock_readiness(fd_.get())) return error;
  pidfile_claim.ready = true;
  return 0;
}

std::string Pidfile::reason_of(int error) const {
  const auto reader = error == EAGAIN ? posix::blocking_reader(fd_.get()) : std::nullopt;
  return reader ? blocked(path_, *reader).what() : std::string();
}

void Pidfile::append_descriptors(std::vector<int>& to) const {
  for (const auto* each : {&fd_, &for_workers_}) {
    if (*each) to.push_back(each->get());
  }
}

void Pidfile::rewrite_pid() noexcept {
  off_t size = 0;
  write_pid(fd_.get(), 0, size);
}

Pidfile::Own Pidfile::own(const Path& path) noexcept {
  struct stat file {};
  if (pidfile_claim.pid != posix::getpid() || posix::stat(path.c_str(), &file) == -1) return Own::no;
  if (file.st_dev != pidfile_claim.device || file.st_ino != pidfile_claim.inode) return Own::no;
  return pidfile_claim.ready ? Own::ready : Own::claimed;
}

bool Pidfile::is_in_place() const noexcept {
  posix::DirectoryEntry entry;
  return fd_ && posix::find_entry(path_.c_str(), posix::LastComponent::keep, entry) == 0 &&
         leads_to(entry.directory.get(), entry.name.data(), fd_.get());
}

void Pidfile::remove() noexcept {
  if (is_shared_) close();
  if (!fd_) return;
  if (pidfile_claim.pid == posix::getpid()) pidfile_claim.shows_stop = -1;
  // The path may be out of reach by now: behind another root directory, or not writable for a new user.
  if (!remove_by_path(path_.c_str(), fd_.get())) {
    truncate(fd_.get(), 0);
  }
  fd_.reset();
  if (pidfile_claim.pid == posix::getpid())
    pidfile_claim.pid = 0;  // not earlier: until now closing a reader would have dropped the locks
}

}  // namespace daemonctx
