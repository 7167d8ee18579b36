// SPDX-License-Identifier: BSL-1.0
#include "output/redirection.hpp"

#include <algorithm>
#include <posix/syscalls.hpp>
#include <sstream>
#include <string_view>

#include "daemonctx/error.hpp"
#include "posix/retry.hpp"
#include "posix/signals.hpp"
#include "posix/unix_socket.hpp"
#include "safe_path/directory_trust.hpp"
#include "safe_path/trusted_path.hpp"

namespace daemonctx {
namespace {

namespace fs = boost::filesystem;

const StdioTarget& target_of(const Stdio& stdio, int stream) noexcept {
  if (stream == STDIN_FILENO) return stdio.in;
  return stream == STDOUT_FILENO ? stdio.out : stdio.err;
}

DaemonError cannot_open(const std::string& name) { return {Step::open_stdio, posix::last_error(), name}; }

// In its place a broken root directory may have a file, which would be filled and read. With errno.
bool is_device(int fd) noexcept {
  struct stat found {};
  if (posix::fstat(fd, &found) == -1) return false;
  if (!S_ISCHR(found.st_mode)) errno = ENODEV;
  return S_ISCHR(found.st_mode);
}

UniqueFd open_null_device() {
  UniqueFd fd(posix::retry([] { return posix::open("/dev/null", O_RDWR | O_CLOEXEC | O_NOCTTY); }));
  if (!fd || !is_device(fd.get())) throw cannot_open("/dev/null");
  return fd;
}

UniqueFd copy_of(int given) {
  UniqueFd fd(posix::fcntl(given, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  if (!fd) throw cannot_open("descriptor " + std::to_string(given));
  return fd;
}

DaemonError unsafe(const fs::path& path, const std::string& why) {
  return {Step::open_stdio, std::make_error_code(std::errc::operation_not_permitted), path.string(),
          "cannot use the file \"" + path.string() + "\": " + why};
}

// Another user's link would have a privileged start write into what he may not.
posix::Place find(const fs::path& path) {
  posix::Place place;
  const int error = posix::find_place(path.c_str(), posix::LastName::followed, place);
  const bool at_end = place.name[0] != '\0';
  if (error == ELOOP && at_end) throw unsafe(path, "it is a symbolic link that others could have put there");
  if (error == ELOOP)
    throw unsafe(path, "a symbolic link on the way to it could have been put there by others");
  if (error != 0) throw DaemonError(Step::open_stdio, {error, std::generic_category()}, path.string());
  return place;
}

// The same by a hard link, where nobody else can put one it may be a backup's; or by a file or a FIFO of his own. The
// monitor would wait for ever for who does not read a FIFO.
void check_origin(const posix::Place& found, const fs::path& path, const UniqueFd& fd,
                  std::optional<uid_t> user, bool writes) {
  struct stat file {};
  struct stat place {};
  if (posix::fstat(fd.get(), &file) == -1 || posix::fstat(found.directory.get(), &place) == -1) {
    throw cannot_open(path.string());
  }
  if (!S_ISREG(file.st_mode) && !S_ISFIFO(file.st_mode)) return;
  const bool others_write = (place.st_mode & (S_IWGRP | S_IWOTH)) != 0;
  const bool is_trusted = posix::is_trusted(file.st_uid);
  const bool is_strange = !is_trusted && file.st_uid != place.st_uid && file.st_uid != user;
  const std::string whose = "another user (uid " + std::to_string(file.st_uid) + ")";
  if (is_strange && others_write) throw unsafe(path, "it belongs to " + whose);
  const bool is_guarded = posix::is_trusted(place.st_uid) && !others_write;
  if (writes && S_ISFIFO(file.st_mode) && !is_trusted && !is_guarded) {
    throw unsafe(path, "it is a FIFO of " + whose);
  }
  if (file.st_nlink < 2 || (posix::is_guarded(place) && (place.st_mode & S_IWOTH) == 0)) return;
  if (!is_trusted && file.st_uid == place.st_uid) return;  // his own, in his own folder
  throw unsafe(path, "it has more than one link, and others could have made them");
}

// A new file gets exactly the mode that was asked for; an existing one keeps its own.
UniqueFd open_or_create(const posix::Place& place, int flags, mode_t mode) {
  constexpr int most_attempts = 10;  // somebody else may create or remove it in between
  const int directory = place.directory.get();
  const char* const name = place.name.data();
  UniqueFd fd;
  for (int attempt = 0; attempt < most_attempts; ++attempt) {
    fd.reset(posix::retry([&] { return posix::openat(directory, name, flags); }));
    if (fd || errno != ENOENT) return fd;
    fd.reset(posix::retry([&] { return posix::openat(directory, name, flags | O_CREAT | O_EXCL, mode); }));
    if (fd && posix::fchmod(fd.get(), mode) == -1) fd.reset();
    if (fd || errno != EEXIST) return fd;
  }
  return fd;
}

UniqueFd open_file(const StdioTarget& target, int stream, const posix::Place& place,
                   std::optional<uid_t> user) {
  // O_NONBLOCK only while opening: a FIFO that nobody reads is refused instead of waited for.
  constexpr int common = O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW;
  const int flags = stream == STDIN_FILENO ? O_RDONLY : O_WRONLY | O_APPEND;
  const fs::path& path = target.path();
  UniqueFd fd = stream == STDIN_FILENO ? UniqueFd(posix::retry([&] {
    return posix::openat(place.directory.get(), place.name.data(), common | flags);
  }))
                                       : open_or_create(place, common | flags, target.options().mode);
  if (!fd && errno == ENXIO) {
    throw DaemonError(
        Step::open_stdio, posix::last_error(), path.string(),
        "cannot open the file \"" + path.string() + "\": it is a FIFO that nobody reads, or a socket");
  }
  if (!fd || posix::fcntl(fd.get(), F_SETFL, flags) == -1) throw cannot_open(path.string());
  check_origin(place, path, fd, user, stream != STDIN_FILENO);
  return fd;
}

// A worker that may rename both could call the pidfile by the log's name.
UniqueFd open_beside(int pidfile, const StdioTarget& target, int stream, const posix::Place& place,
                     std::optional<uid_t> user) {
  const auto is_pidfile = [pidfile](const struct stat& found) {
    struct stat own {};
    return pidfile != -1 && posix::fstat(pidfile, &own) == 0 && own.st_ino == found.st_ino &&
           own.st_dev == found.st_dev;
  };
  struct stat found {};
  const bool is_there =
      posix::fstatat(place.directory.get(), place.name.data(), &found, AT_SYMLINK_NOFOLLOW) == 0;
  if (is_there && is_pidfile(found)) throw unsafe(target.path(), "it is the pidfile");
  UniqueFd fd = open_file(target, stream, place, user);
  if (posix::fstat(fd.get(), &found) == 0 && !is_pidfile(found)) return fd;
  static_cast<void>(fd.release());  // to close it would drop the locks
  throw unsafe(target.path(), "it is the pidfile");
}

// The protocol of journald's stream: a few lines about the lines that follow.
UniqueFd open_journal(const StdioTarget& target) {
  constexpr std::string_view path = "/run/systemd/journal/stdout";
  UniqueFd fd = posix::connect_to(path, SOCK_STREAM);
  if (!fd || ::shutdown(fd.get(), SHUT_RD) == -1) throw cannot_open(std::string(path));
  constexpr std::string_view unit;
  constexpr int info = 6;
  constexpr int reads_priorities = 1;
  std::ostringstream header;
  header << target.identifier() << '\n' << unit << '\n' << info << '\n' << reads_priorities << "\n0\n0\n0\n";
  const std::string text = header.str();
  posix::NoWriteSignal scope;
  const auto written = posix::retry([&] { return posix::write(fd.get(), text.data(), text.size()); });
  scope.failed(posix::error_of(written));
  if (written == -1) throw cannot_open(std::string(path));
  return fd;
}

std::unique_ptr<SyslogForwarder> open_syslog(const StdioTarget& target) {
  const std::string path = _PATH_LOG;
  try {
    return std::make_unique<SyslogForwarder>(target.identifier(), target.facility(), path);
  } catch (const std::system_error& error) {
    throw DaemonError(Step::open_stdio, error.code(), path);
  }
}

bool same_target(const StdioTarget& one, const StdioTarget& other) {
  if (one.kind() != other.kind()) return false;
  return (one.kind() == StdioTarget::Kind::file && one.path() == other.path()) ||
         (one.kind() == StdioTarget::Kind::journal && one.identifier() == other.identifier()) ||
         (one.kind() == StdioTarget::Kind::syslog && one.identifier() == other.identifier() &&
          one.facility() == other.facility());
}

}  // namespace

void fill_standard_descriptors() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (posix::fcntl(fd, F_GETFD) != -1) continue;
    // The lowest free number is `fd`. It stays open, also for the programs started later.
    // NOLINTNEXTLINE(android-cloexec-open)
    if (posix::retry([] { return posix::open("/dev/null", O_RDWR | O_NOCTTY); }) == -1 || !is_device(fd)) {
      throw DaemonError(Step::fill_standard_descriptors, posix::last_error(), "/dev/null");
    }
  }
}

Redirection Redirection::open(const Stdio& stdio, bool detached, std::optional<uid_t> user,
                              bool keeps_places) {
  Redirection result;
  result.user_ = user;
  for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; ++stream) {
    auto kind = target_of(stdio, stream).kind();
    if (kind == StdioTarget::Kind::automatic) {
      kind = detached ? StdioTarget::Kind::null_device : StdioTarget::Kind::inherit;
    }
    result.sources_.at(stream) = result.share_or_open(stdio, stream, kind);
    if (keeps_places && stream != STDIN_FILENO) result.keep_place(target_of(stdio, stream), stream);
  }
  return result;
}

void Redirection::keep_place(const StdioTarget& target, int stream) {
  if (target.kind() != StdioTarget::Kind::file) return;
  posix::Place place = find(target.path());
  if (!posix::own_descriptor(place)) places_.at(stream) = std::move(place);
}

int Redirection::share_or_open(const Stdio& stdio, int stream, StdioTarget::Kind kind) {
  const StdioTarget& target = target_of(stdio, stream);
  if (kind == StdioTarget::Kind::inherit) return -1;
  if (stream == STDERR_FILENO && same_target(stdio.out, stdio.err)) {
    was_descriptor_[STDERR_FILENO] = was_descriptor_[STDOUT_FILENO];
    return sources_[STDOUT_FILENO];
  }
  truncates_.at(stream) = kind == StdioTarget::Kind::file && target.options().truncate;
  if (kind == StdioTarget::Kind::syslog) {
    pumps_.push_back(open_syslog(target));
    return pumps_.back()->worker_end();
  }
  if (kind == StdioTarget::Kind::null_device) {
    if (null_device_ != -1) return null_device_;
    owned_.push_back(open_null_device());
    null_device_ = owned_.back().get();
  } else if (kind == StdioTarget::Kind::descriptor) {
    owned_.push_back(copy_of(target.descriptor()));
  } else if (kind == StdioTarget::Kind::journal) {
    owned_.push_back(open_journal(target));
  } else {
    const posix::Place place = find(target.path());
    const auto number = posix::own_descriptor(place);
    was_descriptor_.at(stream) = number.has_value();
    if (number) truncates_.at(stream) = false;
    owned_.push_back(number ? copy_of(*number) : open_file(target, stream, place, user_));
  }
  return owned_.back().get();
}

void Redirection::append_descriptors(std::vector<int>& to) const {
  for (const UniqueFd& fd : owned_) to.push_back(fd.get());
  for (const auto& pump : pumps_) pump->append_descriptors(to);
  for (const auto& place : places_) {
    if (place) to.push_back(place->directory.get());
  }
}

bool Redirection::leads_to(int fd) const noexcept {
  struct stat wanted {};
  struct stat found {};
  if (posix::fstat(fd, &wanted) == -1) return false;
  return std::any_of(sources_.begin(), sources_.end(), [&](int source) {
    return source != -1 && posix::fstat(source, &found) == 0 && found.st_dev == wanted.st_dev &&
           found.st_ino == wanted.st_ino;
  });
}

int Redirection::redirect(int stream) noexcept {
  const int source = sources_.at(stream);
  if (source == -1) return 0;
  // What can't be emptied is a device or a pipe.
  if (truncates_.at(stream) && posix::ftruncate(source, 0) == -1 && errno != EINVAL) return errno;
  return posix::error_of(posix::retry([&] { return posix::dup2(source, stream); }));
}

int Redirection::redirect_output() noexcept {
  if (const int error = redirect(STDOUT_FILENO)) return error;
  if (const int error = redirect(STDERR_FILENO)) return error;
  owned_.clear();
  pumps_.clear();
  sources_ = {-1, -1, -1};
  return 0;
}

// What a later worker would not inherit with descriptors 0 to 2 is kept.
int Redirection::follow() noexcept {
  truncates_ = {};
  for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; ++stream) {
    int& source = sources_.at(stream);
    const auto pump = std::find_if(pumps_.begin(), pumps_.end(),
                                   [&](const auto& each) { return each->worker_end() == source; });
    const int of_workers = pump == pumps_.end() ? -1 : source;
    if (of_workers != -1) source = (*pump)->monitor_end();
    if (const int error = redirect(stream)) return error;
    source = of_workers;
  }
  owned_.clear();
  return 0;
}

void Redirection::leave_to_worker() noexcept {
  for (const auto& pump : pumps_) pump->leave_to_worker();
}

bool Redirection::reopens(const Stdio& stdio, int stream) const noexcept {
  return target_of(stdio, stream).kind() == StdioTarget::Kind::file && !was_descriptor_.at(stream);
}

void Redirection::reopen(const Stdio& stdio, int pidfile) const {
  Redirection fresh;
  for (const int stream : {STDOUT_FILENO, STDERR_FILENO}) {
    const StdioTarget& target = target_of(stdio, stream);
    if (!reopens(stdio, stream)) continue;
    if (stream == STDERR_FILENO && same_target(stdio.out, stdio.err)) {
      fresh.sources_[STDERR_FILENO] = fresh.sources_[STDOUT_FILENO];
      continue;
    }
    const auto& kept = places_.at(stream);
    fresh.owned_.push_back(kept ? open_beside(pidfile, target, stream, *kept, user_)
                                : open_beside(pidfile, target, stream, find(target.path()), user_));
    fresh.sources_.at(stream) = fresh.owned_.back().get();
  }
  if (const int error = fresh.redirect_output()) {
    throw DaemonError(Step::redirect_stdio, {error, std::generic_category()});
  }
}

}  // namespace daemonctx
