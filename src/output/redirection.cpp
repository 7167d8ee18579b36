// SPDX-License-Identifier: BSL-1.0
#include "output/redirection.hpp"

#include <algorithm>
#include <posix/syscalls.hpp>

#include "daemonctx/error.hpp"
#include "output/journal.hpp"
#include "output/open_target.hpp"
#include "posix/identity.hpp"
#include "posix/retry.hpp"
#include "safe_path/trusted_path.hpp"

namespace daemonctx {
namespace {

const StdioTarget& target_of(const Stdio& stdio, int stream) noexcept {
  if (stream == STDIN_FILENO) return stdio.in;
  return stream == STDOUT_FILENO ? stdio.out : stdio.err;
}

std::unique_ptr<SyslogForwarder> open_syslog(const StdioTarget& target, HandedLines lines) {
  const std::string path = _PATH_LOG;
  try {
    return std::make_unique<SyslogForwarder>(target.identifier(), target.facility(), path, std::move(lines));
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
    // open(2) returns the lowest free number, `fd`. It stays open in programs that are started later.
    // NOLINTNEXTLINE(android-cloexec-open)
    if (posix::retry([] { return posix::open("/dev/null", O_RDWR | O_NOCTTY); }) == -1 || !is_device(fd)) {
      throw DaemonError(Step::fill_standard_descriptors, posix::last_error(), "/dev/null");
    }
  }
}

void Redirection::open(const Stdio& stdio, bool detached, std::optional<FileOwner> user, bool keeps_places) {
  user_ = user;
  for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; ++stream) {
    auto kind = target_of(stdio, stream).kind();
    if (kind == StdioTarget::Kind::automatic) {
      kind = detached ? StdioTarget::Kind::null_device : StdioTarget::Kind::inherit;
    }
    sources_.at(stream) = share_or_open(stdio, stream, kind);
    if (keeps_places && stream != STDIN_FILENO) keep_place(target_of(stdio, stream), stream);
  }
}

void Redirection::check(const Stdio& stdio, bool detached, std::optional<FileOwner> user) {
  Redirection checked;
  checked.creates_ = false;
  checked.open(stdio, detached, user);
}

// The names are looked up once: in another root directory there may be no user database.
std::optional<FileOwner> Redirection::owner_of(const StdioTarget& target) const {
  const auto& [truncate, mode, user, group] = target.options();
  if (user.empty() && group.empty()) return user_;
  posix::Identity owner;
  const std::string of = user.empty() ? std::to_string(uid().value_or(posix::geteuid())) : user;
  const std::string wrong = posix::look_up(of, group, false, owner);
  if (wrong.empty()) return FileOwner{owner.uid, owner.gid};
  throw DaemonError(Step::open_stdio, std::make_error_code(std::errc::invalid_argument),
                    target.path().native(),
                    "cannot use the file \"" + target.path().native() + "\": " + wrong);
}

UniqueFd Redirection::open_or_check(const StdioTarget& target, int stream,
                                    const posix::DirectoryEntry& entry) {
  struct stat found {};
  const int directory = entry.directory.get();
  const char* const name = entry.name.data();
  if (!creates_ && stream != STDIN_FILENO &&
      posix::fstatat(directory, name, &found, AT_SYMLINK_NOFOLLOW) == -1 && errno == ENOENT) {
    check_missing_file(target.path(), entry);
    return open_null_device();
  }
  bool is_new = false;
  UniqueFd fd = open_file(target, stream, entry, uid(), owners_.at(stream), is_new);
  if (is_new && posix::fstat(fd.get(), &found) == 0) created_.push_back({target.path(), found});
  return fd;
}

void Redirection::undo() noexcept {
  for (const auto& [path, file] : created_) {
    posix::DirectoryEntry entry;
    struct stat now {};
    if (posix::find_entry(path.c_str(), posix::LastComponent::follow, entry) == 0 &&
        posix::fstatat(entry.directory.get(), entry.name.data(), &now, AT_SYMLINK_NOFOLLOW) == 0 &&
        now.st_ino == file.st_ino && now.st_dev == file.st_dev && now.st_size == 0) {
      posix::unlinkat(entry.directory.get(), entry.name.data(), 0);
    }
  }
  created_.clear();
}

void Redirection::keep_place(const StdioTarget& target, int stream) {
  if (target.kind() != StdioTarget::Kind::file) return;
  posix::DirectoryEntry entry = find_target(target.path());
  if (!posix::own_descriptor(entry)) entries_.at(stream) = std::move(entry);
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
    HandedLines lines;
    if (pumps_.size() < inherited_.size()) lines = std::move(inherited_[pumps_.size()]);
    pumps_.push_back(open_syslog(target, std::move(lines)));
    return pumps_.back()->worker_end();
  }
  if (kind == StdioTarget::Kind::null_device) {
    if (null_device_ != -1) return null_device_;
    owned_.push_back(open_null_device());
    null_device_ = owned_.back().get();
  } else if (kind == StdioTarget::Kind::descriptor) {
    owned_.push_back(copy_of(target.descriptor()));
  } else if (kind == StdioTarget::Kind::journal) {
    owned_.push_back(open_journal(target.identifier()));
  } else {
    owners_.at(stream) = owner_of(target);
    const posix::DirectoryEntry entry = find_target(target.path());
    const auto number = posix::own_descriptor(entry);
    was_descriptor_.at(stream) = number.has_value();
    if (number) truncates_.at(stream) = false;
    owned_.push_back(number ? copy_of(*number) : open_or_check(target, stream, entry));
  }
  return owned_.back().get();
}

std::size_t Redirection::count_pumps(const Stdio& stdio) noexcept {
  const bool out = stdio.out.kind() == StdioTarget::Kind::syslog;
  const bool err = stdio.err.kind() == StdioTarget::Kind::syslog;
  return out && err && same_target(stdio.out, stdio.err) ? 1 : (out ? 1U : 0U) + (err ? 1U : 0U);
}

void Redirection::append_descriptors(std::vector<int>& to) const {
  for (const UniqueFd& fd : owned_) to.push_back(fd.get());
  for (const auto& pump : pumps_) pump->append_descriptors(to);
  for (const auto& entry : entries_) {
    if (entry) to.push_back(entry->directory.get());
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
  // EINVAL is no error: a device or a pipe cannot be emptied.
  const auto truncate = [source] { return posix::retry([source] { return posix::ftruncate(source, 0); }); };
  if (truncates_.at(stream) && truncate() == -1 && errno != EINVAL) return errno;
  return posix::error_of(posix::retry([&] { return posix::dup2(source, stream); }));
}

int Redirection::redirect_output() noexcept {
  if (const int error = redirect(STDOUT_FILENO)) return error;
  if (const int error = redirect(STDERR_FILENO)) return error;
  owned_.clear();
  pumps_.clear();
  created_.clear();
  sources_ = {-1, -1, -1};
  return 0;
}

// Keeps the pumps' worker ends: a later worker does not inherit them with descriptors 0 to 2.
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
  created_.clear();
  return 0;
}

void Redirection::leave_to_worker() noexcept {
  for (const auto& pump : pumps_) pump->leave_to_worker();
}

bool Redirection::reopens(const Stdio& stdio, int stream) const noexcept {
  return target_of(stdio, stream).kind() == StdioTarget::Kind::file && !was_descriptor_.at(stream);
}

// The directory may be another one than at the start: replaced, or mounted over.
posix::DirectoryEntry Redirection::find_again(const Path& path, int stream) const {
  try {
    return find_target(path);
  } catch (const DaemonError& error) {
    const auto& kept = entries_.at(stream);
    if (!kept || error.code() != std::errc::permission_denied) throw;
    return {UniqueFd(copy_of(kept->directory.get())), kept->name};
  }
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
    fresh.owned_.push_back(
        open_beside(pidfile, target, stream, find_again(target.path(), stream), uid(), owners_.at(stream)));
    fresh.sources_.at(stream) = fresh.owned_.back().get();
  }
  if (const int error = fresh.redirect_output()) {
    throw DaemonError(Step::redirect_stdio, {error, std::generic_category()});
  }
}

}  // namespace daemonctx
