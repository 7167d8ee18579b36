// SPDX-License-Identifier: BSL-1.0
#include "safe_path/trusted_path.hpp"

#include <linux/magic.h>

#include <charconv>
#include <cstring>
#include <posix/syscalls.hpp>
#include <string_view>
#include <system_error>

#include "posix/retry.hpp"
#include "safe_path/directory_trust.hpp"

namespace daemonctx::posix {
namespace {

constexpr int most_links = 40;  // the kernel's limit

// Links to descriptors and files in proc(5) cannot be followed by their text.
bool is_in_proc(const UniqueFd& directory) noexcept {
  struct statfs system {};
  return posix::fstatfs(directory.get(), &system) == 0 && system.f_type == PROC_SUPER_MAGIC;
}

class Walk {
 public:
  Walk(DirectoryEntry& entry, int here, int root) noexcept : entry_(entry), here_(here), root_(root) {}

  int go(const char* path, LastComponent last) noexcept {
    if (const int error = prepend(path, "")) return error;
    if (const int error = begin()) return error;
    for (;;) {
      const std::string_view name = next_name();
      entry_.name[0] = '\0';
      if (name.empty()) return 0;
      const bool ends = rest_[at_] == '\0' && last != LastComponent::open_directory;
      if (const int error = ends ? finish(name, last) : enter(name)) return error;
      if (finished_) return 0;
    }
  }

 private:
  int keep(UniqueFd directory) noexcept {
    if (!directory) return errno;
    entry_.directory = std::move(directory);
    return 0;
  }
  UniqueFd open(int directory, const char* name) const noexcept {
    constexpr int flags = O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW;
    return UniqueFd(posix::retry([&] { return posix::openat(directory, name, flags); }));
  }
  int begin() noexcept {
    if (rest_[0] != '/') return keep(open(here_, "."));
    return keep(root_ == AT_FDCWD ? open(AT_FDCWD, "/") : open(root_, "."));
  }

  // Replaces the rest of the path by `path` and `tail`.
  int prepend(std::string_view path, std::string_view tail) noexcept {
    if (path.empty()) return ENOENT;
    if (path.size() + tail.size() + 1 > rest_.size()) return ENAMETOOLONG;
    std::memmove(rest_.data() + path.size(), tail.data(), tail.size());
    path.copy(rest_.data(), path.size());
    rest_[path.size() + tail.size()] = '\0';
    at_ = 0;
    return 0;
  }
  std::string_view next_name() noexcept {
    while (rest_[at_] == '/') ++at_;
    const std::size_t begin = at_;
    while (rest_[at_] != '/' && rest_[at_] != '\0') ++at_;
    return {rest_.data() + begin, at_ - begin};
  }

  int enter(std::string_view name) noexcept {
    if (const int error = set_name(name)) return error;
    if (name == ".." && is_at_root()) return 0;
    UniqueFd entered = open(entry_.directory.get(), entry_.name.data());
    if (entered || errno != ENOTDIR) return keep(std::move(entered));
    const int error = follow();
    if (error == EINVAL) return ENOTDIR;  // no link
    entry_.name[0] = '\0';
    return error;
  }
  int finish(std::string_view name, LastComponent last) noexcept {
    if (const int error = set_name(name)) return error;
    if (last == LastComponent::follow && !is_in_proc(entry_.directory)) {
      const int error = follow();
      if (error == 0 || (error != EINVAL && error != ENOENT)) return error;
    }
    finished_ = true;
    return 0;
  }
  int set_name(std::string_view name) noexcept {
    if (name.size() >= entry_.name.size()) return ENAMETOOLONG;
    name.copy(entry_.name.data(), name.size());
    entry_.name[name.size()] = '\0';
    return 0;
  }

  // Returns EINVAL if the entry is no link.
  int follow() noexcept {
    std::array<char, PATH_MAX> target;
    constexpr int flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
    const UniqueFd link(
        posix::retry([&] { return posix::openat(entry_.directory.get(), entry_.name.data(), flags); }));
    struct stat found {};
    if (!link || posix::fstat(link.get(), &found) == -1) return errno;
    if (!S_ISLNK(found.st_mode)) return EINVAL;
    // Read the link by its descriptor: another link may have taken its name meanwhile.
    const auto size = posix::readlinkat(link.get(), "", target.data(), target.size());
    if (size == -1) return errno;
    if (!is_trusted_link(entry_.directory, found) || ++links_ > most_links) return ELOOP;
    const std::string_view tail(rest_.data() + at_);
    if (const int error = prepend({target.data(), static_cast<std::size_t>(size)}, tail)) return error;
    return rest_[0] == '/' ? begin() : 0;
  }

  bool is_at_root() const noexcept {
    struct stat here {};
    struct stat top {};
    return root_ != AT_FDCWD && posix::fstat(entry_.directory.get(), &here) == 0 &&
           posix::fstat(root_, &top) == 0 && here.st_ino == top.st_ino && here.st_dev == top.st_dev;
  }

  DirectoryEntry& entry_;
  int here_;
  int root_;
  int links_ = 0;
  bool finished_ = false;
  std::size_t at_ = 0;
  std::array<char, PATH_MAX> rest_;
};

}  // namespace

int find_entry(const char* path, LastComponent last, DirectoryEntry& entry, int here, int root) noexcept {
  return Walk(entry, here, root).go(path, last);
}

std::optional<int> own_descriptor(const DirectoryEntry& entry) noexcept {
  struct stat found {};
  if (!is_in_proc(entry.directory) || posix::fstat(entry.directory.get(), &found) == -1) return {};
  const auto leads_there = [&found](const char* path) {
    struct stat own {};
    return posix::stat(path, &own) == 0 && found.st_ino == own.st_ino && found.st_dev == own.st_dev;
  };
  if (!leads_there("/proc/self/fd") && !leads_there("/proc/thread-self/fd")) return {};
  int number = -1;
  const std::string_view name = entry.name.data();
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc() || end != name.data() + name.size()) return {};
  return number;
}

UniqueFd open_directory(const char* path, int here) noexcept {
  DirectoryEntry entry;
  errno = find_entry(path, LastComponent::open_directory, entry, here);
  if (errno != 0) entry.directory.reset();
  return std::move(entry.directory);
}

}  // namespace daemonctx::posix
