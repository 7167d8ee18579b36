// SPDX-License-Identifier: BSL-1.0
#include "safe_path/made_directories.hpp"

#include <dirent.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <posix/syscalls.hpp>
#include <string_view>

#include "base/path.hpp"
#include "daemonctx/error.hpp"
#include "posix/identity.hpp"
#include "posix/retry.hpp"
#include "safe_path/directory_trust.hpp"
#include "safe_path/trusted_path.hpp"

namespace daemonctx {
namespace {

constexpr mode_t parent_mode = 0755;
constexpr int searched = O_PATH | O_DIRECTORY | O_CLOEXEC;

DaemonError failed(const Directory& wanted, std::error_code code) {
  return {Step::create_directories, code, wanted.path.native()};
}

DaemonError unsafe(const Directory& wanted, const std::string& why) {
  return {Step::create_directories, std::make_error_code(std::errc::operation_not_permitted),
          wanted.path.native(), "cannot use the directory \"" + wanted.path.native() + "\": " + why};
}

DaemonError not_given(const Directory& wanted, const std::string& what) {
  const auto error = posix::last_error();
  return {
      Step::create_directories, error, wanted.path.native(),
      "cannot change the " + what + " of the directory \"" + wanted.path.native() + "\": " + error.message()};
}

UniqueFd open_to_change(const UniqueFd& parent, const std::string& name, const Directory& wanted) {
  constexpr int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  UniqueFd directory(posix::retry([&] { return posix::openat(parent.get(), name.c_str(), flags); }));
  if (!directory && (errno == ELOOP || errno == ENOTDIR)) throw unsafe(wanted, "it is no directory");
  if (!directory) throw failed(wanted, posix::last_error());
  return directory;
}

bool is_empty(const UniqueFd& directory, const Directory& wanted) {
  const int copy = posix::fcntl(directory.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(copy == -1 ? nullptr : ::fdopendir(copy), ::closedir);
  if (!entries) throw failed(wanted, posix::last_error());
  errno = 0;
  for (const dirent* entry = nullptr; (entry = ::readdir(entries.get())) != nullptr;) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") return false;
  }
  if (errno != 0) throw failed(wanted, posix::last_error());
  return true;
}

// A user who may write the parent can have moved another directory of root's there, to become its owner. An
// empty directory is no loss.
void check_that_it_is_not_moved(const UniqueFd& parent, const UniqueFd& directory, const Directory& wanted) {
  struct stat place {};
  if (posix::fstat(parent.get(), &place) == -1) throw failed(wanted, posix::last_error());
  if (!posix::is_open_to_moves(place) || is_empty(directory, wanted)) return;
  throw unsafe(wanted, "it is not empty, and others could have put it there");
}

posix::Identity owner_of(const Directory& wanted, const std::string& user, const std::string& group) {
  posix::Identity owner;
  if (wanted.user.empty() && wanted.group.empty() && user.empty() && group.empty())
    return posix::unelevated();
  const bool own_user = !wanted.user.empty();
  const std::string wrong = posix::look_up(
      own_user ? wanted.user : user, !wanted.group.empty() || own_user ? wanted.group : group, false, owner);
  if (!wrong.empty()) throw unsafe(wanted, wrong);
  return owner;
}

// The directories of the system that everybody shares: no service may have them.
bool is_for_everybody(const struct stat& directory) noexcept {
  struct stat root {};
  const bool is_root =
      posix::stat("/", &root) == 0 && root.st_dev == directory.st_dev && root.st_ino == directory.st_ino;
  constexpr mode_t shared = S_ISVTX | S_IWOTH;
  return is_root || (directory.st_mode & shared) == shared;
}

}  // namespace

Path real_path(const Path& path) {
  for (Path existing = path; existing.native().size() > 1; existing = existing.parent_path()) {
    const std::unique_ptr<char, decltype(&std::free)> real(::realpath(existing.c_str(), nullptr), &std::free);
    if (real) return without_detours(real.get() + path.native().substr(existing.native().size()));
  }
  return without_detours(path);
}

void Directories::make(const std::vector<Directory>& wanted) {
  for (const Directory& each : wanted) make_one(each);
}

void Directories::create(const std::vector<Directory>& wanted, const std::string& user,
                         const std::string& group) {
  changes_.clear();  // those of an earlier attempt, none of which was begun
  for (const Directory& each : wanted) create_one(each, user, group);
}

std::vector<Path> Directories::check(const std::vector<Directory>& wanted, const std::string& user,
                                     const std::string& group) {
  Directories checked;
  checked.creates_ = false;
  checked.create(wanted, user, group);
  return std::move(checked.missing_);
}

UniqueFd Directories::make_one(const Directory& wanted) {
  UniqueFd parent(posix::retry([] { return posix::open("/", searched); }));
  if (!parent) throw failed(wanted, posix::last_error());
  const Path way = wanted.path.parent_path();
  Path walked = "/";
  for (const std::string_view name : components(way)) {
    walked = walked / Path(name);
    parent = enter(parent, std::string(name), walked, wanted);
    if (!parent) return parent;
  }
  const std::string name = wanted.path.filename().native();
  if (!creates_ && is_missing(parent, name, wanted.path, wanted)) return {};
  if (creates_) make_directory(parent, name, 0700, wanted);  // nobody else's before it has its owner
  return parent;
}

void Directories::create_one(const Directory& wanted, const std::string& user, const std::string& group) {
  const posix::Identity owner = owner_of(wanted, user, group);
  const UniqueFd parent = make_one(wanted);
  if (!parent) return;
  const std::string name = wanted.path.filename().native();
  UniqueFd directory = open_to_change(parent, name, wanted);
  struct stat found {};
  if (posix::fstat(directory.get(), &found) == -1) throw failed(wanted, posix::last_error());
  if (!posix::is_trusted(found.st_uid) && found.st_uid != owner.uid) {
    throw unsafe(wanted, "it belongs to another user (uid " + std::to_string(found.st_uid) + ")");
  }
  const bool given = found.st_uid == owner.uid && found.st_gid == owner.gid;
  if (given && (found.st_mode & 07777) == wanted.mode) return;
  if (is_for_everybody(found)) throw unsafe(wanted, "everybody uses it, and its owner and mode must stay");
  if (posix::is_trusted(found.st_uid)) check_that_it_is_not_moved(parent, directory, wanted);
  changes_.push_back({std::move(directory), wanted, owner.uid, owner.gid, found});
}

void Directories::give_owner_and_mode() {
  for (Change& each : changes_) {
    each.is_begun = true;
    const bool is_owned = each.before.st_uid == each.uid && each.before.st_gid == each.gid;
    if (!is_owned && posix::fchown(each.directory.get(), each.uid, each.gid) == -1)
      throw not_given(each.wanted, "owner");
    if (posix::fchmod(each.directory.get(), each.wanted.mode) == -1) throw not_given(each.wanted, "mode");
  }
}

UniqueFd Directories::enter(const UniqueFd& parent, const std::string& name, const Path& path,
                            const Directory& wanted) {
  if (is_missing(parent, name, path, wanted)) {
    if (!creates_) return {};
    make_directory(parent, name, parent_mode, wanted);
  }
  UniqueFd entered = posix::open_directory(name.c_str(), parent.get());
  if (!entered && errno == ELOOP) {
    throw unsafe(wanted,
                 "\"" + name +
                     "\" on the way to it is, or leads to, a symbolic link that others could have put there");
  }
  if (!entered) throw failed(wanted, posix::last_error());
  return entered;
}

bool Directories::is_missing(const UniqueFd& parent, const std::string& name, const Path& path,
                             const Directory& wanted) {
  struct stat found {};
  if (posix::fstatat(parent.get(), name.c_str(), &found, AT_SYMLINK_NOFOLLOW) == 0) return false;
  if (errno != ENOENT) throw failed(wanted, posix::last_error());
  if (creates_) return true;
  if (posix::faccessat(parent.get(), ".", W_OK | X_OK, AT_EACCESS) == -1)
    throw failed(wanted, posix::last_error());
  missing_.push_back(path);
  return true;
}

void Directories::make_directory(const UniqueFd& parent, const std::string& name, mode_t mode,
                                 const Directory& wanted) {
  if (posix::mkdirat(parent.get(), name.c_str(), mode) == -1) {
    if (errno == EEXIST) return;
    throw failed(wanted, posix::last_error());
  }
  UniqueFd copy(posix::fcntl(parent.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  if (!copy) {
    const auto error = posix::last_error();
    posix::unlinkat(parent.get(), name.c_str(), AT_REMOVEDIR);
    throw failed(wanted, error);
  }
  made_.push_back({std::move(copy), name});
  const UniqueFd made = open_to_change(parent, name, wanted);
  check_that_it_is_not_moved(parent, made, wanted);
  if (posix::fchmod(made.get(), mode) == -1) throw failed(wanted, posix::last_error());
}

void Directories::undo() noexcept {
  for (; !changes_.empty(); changes_.pop_back()) {
    const Change& last = changes_.back();
    if (!last.is_begun || !last.directory) continue;
    static_cast<void>(posix::fchown(last.directory.get(), last.before.st_uid, last.before.st_gid));
    static_cast<void>(posix::fchmod(last.directory.get(), last.before.st_mode & 07777));
  }
  remove_made();
}

bool Directories::can_undo() const noexcept {
  return std::any_of(made_.begin(), made_.end(), [](const Made& made) { return bool(made.parent); }) ||
         std::any_of(changes_.begin(), changes_.end(),
                     [](const Change& change) { return bool(change.directory); });
}

void Directories::remove_made() noexcept {
  std::for_each(made_.rbegin(), made_.rend(), [](Made& made) {
    const bool is_gone =
        made.parent && posix::unlinkat(made.parent.get(), made.name.c_str(), AT_REMOVEDIR) == 0;
    if (is_gone) made.parent.reset();
  });
}

void Directories::keep() noexcept {
  for (Change& each : changes_) each.directory.reset();
  for (Made& each : made_) each.parent.reset();
}

}  // namespace daemonctx
