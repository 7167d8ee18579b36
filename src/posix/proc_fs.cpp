// SPDX-License-Identifier: BSL-1.0
#include "posix/proc_fs.hpp"

#include <dirent.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <posix/syscalls.hpp>
#include <string_view>
#include <utility>

#include "base/number.hpp"
#include "posix/retry.hpp"
#include "posix/unique_fd.hpp"

namespace daemonctx::posix {
namespace {

// The pidfile's descriptor is one of the first of a daemon.
constexpr int most_looks = 65536;

struct CloseDirectory {
  void operator()(DIR* directory) const noexcept { ::closedir(directory); }
};

using Directory = std::unique_ptr<DIR, CloseDirectory>;

std::array<char, 32> path_of(pid_t pid, const char* what) noexcept {
  std::array<char, 32> path{};
  if (std::snprintf(path.data(), path.size(), "/proc/%d/%s", static_cast<int>(pid), what) < 0) path[0] = '\0';
  return path;
}

std::array<char, 64> path_of_thread(pid_t pid, pid_t thread, const char* what) noexcept {
  std::array<char, 64> path{};
  if (std::snprintf(path.data(), path.size(), "/proc/%d/task/%d/%s", static_cast<int>(pid),
                    static_cast<int>(thread), what) < 0)
    path[0] = '\0';
  return path;
}

// Zero for a text that is no pid. Where /proc is emulated, its texts may be anything.
pid_t to_pid(std::string_view text) noexcept { return std::max(to_number<pid_t>(text).value_or(0), 0); }

// AT_STATX_DONT_SYNC accepts cached data: the process may have files open whose server never answers.
bool look(int directory, const char* name, int flags, struct statx& found) noexcept {
  return posix::statx(directory, name, flags | AT_STATX_DONT_SYNC, STATX_INO, &found) == 0;
}

bool is_same(const struct statx& one, const struct statx& other) noexcept {
  return one.stx_ino == other.stx_ino && one.stx_dev_major == other.stx_dev_major &&
         one.stx_dev_minor == other.stx_dev_minor;
}

enum class Answer { yes, no, unknown, nothing_listed };

Answer find_in(const char* path, const struct statx& wanted) noexcept {
  const Directory entries(::opendir(path));
  if (!entries) return Answer::unknown;
  bool hidden = false;
  int looks = 0;
  errno = 0;
  for (const dirent* entry = nullptr; looks < most_looks && (entry = ::readdir(entries.get())) != nullptr;) {
    if (entry->d_name[0] == '.') continue;
    ++looks;
    struct statx found {};
    const bool seen = look(::dirfd(entries.get()), entry->d_name, 0, found);
    if (seen && is_same(found, wanted)) return Answer::yes;
    hidden = hidden || (!seen && (errno == EACCES || errno == EPERM));
    errno = 0;
  }
  if (errno != 0 || hidden) return Answer::unknown;
  return looks == 0 ? Answer::nothing_listed : Answer::no;
}

// The threads of a process share their descriptors. The first thread that lists any lists them all.
Answer ask_threads(pid_t pid, const struct statx& wanted) noexcept {
  const Directory threads(::opendir(path_of(pid, "task").data()));
  if (!threads) return Answer::unknown;
  Answer answer = Answer::nothing_listed;
  while (const dirent* thread = ::readdir(threads.get())) {
    const pid_t id = to_pid(thread->d_name);
    if (id == 0 || id == pid) continue;
    const Answer given = find_in(path_of_thread(pid, id, "fd").data(), wanted);
    if (given == Answer::yes || given == Answer::no) return given;
    if (given == Answer::unknown) answer = given;
  }
  return answer;
}

// The beginning of a file of /proc; empty if it can't be read.
class ProcText {
 public:
  explicit ProcText(const char* path) noexcept {
    const UniqueFd file(posix::retry([&] { return posix::open(path, O_RDONLY | O_CLOEXEC); }));
    if (file && posix::read(file.get(), text_.data(), text_.size() - 1) <= 0) text_[0] = '\0';
  }

  const char* text() const noexcept { return text_.data(); }

 private:
  std::array<char, 4096> text_{};
};

// The pids in a file of /proc.
void append_pids(const char* path, std::vector<pid_t>& to) {
  const UniqueFd file(posix::retry([&] { return posix::open(path, O_RDONLY | O_CLOEXEC); }));
  std::array<char, 4096> text;
  std::string word;
  for (ssize_t size = 0; file && (size = posix::read(file.get(), text.data(), text.size())) > 0;) {
    for (const char each : std::string_view(text.data(), static_cast<std::size_t>(size))) {
      if (each != ' ') word += each;
      else if (const pid_t pid = to_pid(std::exchange(word, {})); pid != 0) to.push_back(pid);
    }
  }
}

}  // namespace

bool shows_this_namespace() noexcept {
  std::array<char, 16> shown{};
  const auto size = posix::readlinkat(AT_FDCWD, "/proc/self", shown.data(), shown.size() - 1);
  return size > 0 && std::strtol(shown.data(), nullptr, 10) == posix::getpid();
}

// Asks the other threads too: a main thread that has ended before them lists no descriptors, or only to root.
std::optional<bool> has_open(pid_t pid, int fd) noexcept {
  struct statx wanted {};
  if (!shows_this_namespace() || !look(fd, "", AT_EMPTY_PATH, wanted)) return {};
  const Answer first = find_in(path_of(pid, "fd").data(), wanted);
  if (first == Answer::yes || first == Answer::no) return first == Answer::yes;
  const Answer other = ask_threads(pid, wanted);
  if (other == Answer::yes || other == Answer::no) return other == Answer::yes;
  if (first == Answer::unknown || other == Answer::unknown) return {};
  return false;
}

std::optional<uid_t> real_user_of(pid_t pid) noexcept {
  if (!shows_this_namespace()) return {};
  const ProcText status(path_of(pid, "status").data());
  // A process name cannot forge this line: /proc shows its line ends as backslash and n.
  const char* const at = std::strstr(status.text(), "\nUid:\t");
  if (at == nullptr) return {};
  return static_cast<uid_t>(std::strtoul(at + std::strlen("\nUid:\t"), nullptr, 10));
}

bool is_ending(pid_t pid) noexcept {
  if (pid <= 0 || !shows_this_namespace()) return false;
  const ProcText status(path_of(pid, "status").data());
  if (std::strstr(status.text(), "\nCoreDumping:\t1") != nullptr) return true;
  const ProcText stat(path_of(pid, "stat").data());
  const char* at = std::strrchr(stat.text(), ')');
  constexpr int fields = 7;  // from the name's end to the flags: state, five numbers
  for (int field = 0; field < fields && at != nullptr; ++field) at = std::strchr(at + 1, ' ');
  constexpr unsigned long exiting = 4;  // PF_EXITING
  return at != nullptr && (std::strtoul(at, nullptr, 10) & exiting) != 0;
}

std::vector<pid_t> children_of(pid_t pid) noexcept {
  std::vector<pid_t> found;
  if (!shows_this_namespace()) return found;
  try {
    const Directory threads(::opendir(path_of(pid, "task").data()));
    while (const dirent* thread = threads ? ::readdir(threads.get()) : nullptr) {
      const pid_t id = to_pid(thread->d_name);
      if (id != 0) append_pids(path_of_thread(pid, id, "children").data(), found);
    }
  } catch (const std::bad_alloc&) {  // return the children found so far
    static_cast<void>(0);
  }
  return found;
}

std::vector<NamedThread> threads_of(pid_t pid) {
  std::vector<NamedThread> found;
  if (!shows_this_namespace()) return found;
  const Directory threads(::opendir(path_of(pid, "task").data()));
  while (const dirent* thread = threads ? ::readdir(threads.get()) : nullptr) {
    const pid_t id = to_pid(thread->d_name);
    if (id == 0) continue;
    const std::string name = ProcText(path_of_thread(pid, id, "comm").data()).text();
    found.push_back({id, name.substr(0, name.rfind('\n'))});
  }
  return found;
}

}  // namespace daemonctx::posix
