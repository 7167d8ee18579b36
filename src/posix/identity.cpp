// SPDX-License-Identifier: BSL-1.0
#include "posix/identity.hpp"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>
#include <posix/syscalls.hpp>
#include <system_error>
#include <utility>

#include "posix/retry.hpp"

namespace daemonctx::posix {
namespace {

template <class Id>
std::optional<Id> as_number(const std::string& text) {
  Id id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  // The largest id means "leave it as it is" to the system.
  if (error != std::errc() || end != text.data() + text.size() || id == static_cast<Id>(-1)) return {};
  return id;
}

// A missing entry is no error, but several systems report it by an errno; see getpwnam(3).
bool is_database_error(int error) noexcept {
  return error != 0 && error != ENOENT && error != ESRCH && error != EBADF && error != EPERM;
}

// An entry of the user database, with the text that it points to.
template <class Entry>
struct Record {
  Entry entry{};
  std::vector<char> text = std::vector<char>(1024);
  Entry* found = nullptr;
  int error = 0;

  template <class Key>
  bool look(int (*ask)(Key, Entry*, char*, std::size_t, Entry**), Key key) {
    do {
      error = ask(key, &entry, text.data(), text.size(), &found);
      if (error == ERANGE) text.resize(text.size() * 2);
    } while (error == ERANGE || error == EINTR);
    return found != nullptr;
  }
};

std::string not_found(const char* kind, const std::string& name, int error) {
  if (!is_database_error(error)) return std::string("there is no ") + kind + " \"" + name + '"';
  return std::string("cannot look up the ") + kind + " \"" + name +
         "\": " + std::generic_category().message(error);
}

std::vector<gid_t> groups_of(const std::string& name, gid_t gid) {
  std::vector<gid_t> groups(16);
  for (;;) {
    int count = static_cast<int>(groups.size());
    if (::getgrouplist(name.c_str(), gid, groups.data(), &count) >= 0) {
      groups.resize(static_cast<std::size_t>(count));
      return groups;
    }
    groups.resize(std::max(groups.size() * 2, static_cast<std::size_t>(count)));
  }
}

// Real, effective and saved.
std::pair<std::array<uid_t, 3>, std::array<gid_t, 3>> all_ids() noexcept {
  std::array<uid_t, 3> uids{};
  std::array<gid_t, 3> gids{};
  posix::getresuid(uids.data(), &uids[1], &uids[2]);
  posix::getresgid(gids.data(), &gids[1], &gids[2]);
  return {uids, gids};
}

bool has_ids(const Identity& identity) noexcept {
  const auto [uids, gids] = all_ids();
  return std::count(uids.begin(), uids.end(), identity.uid) == 3 &&
         std::count(gids.begin(), gids.end(), identity.gid) == 3;
}

// Compares both as sets: the system may sort the groups, and leave out one that was given twice. More groups
// than were given do not fit into `read_back`, so getgroups(2) fails.
bool has_groups(Identity& identity) noexcept {
  auto& found = identity.read_back;
  const int count = posix::getgroups(static_cast<int>(found.size()), found.data());
  if (count < 0) return false;
  const auto end = found.begin() + count;
  const auto& wanted = identity.groups;
  return std::all_of(
             found.begin(), end,
             [&](gid_t each) { return std::find(wanted.begin(), wanted.end(), each) != wanted.end(); }) &&
         std::all_of(wanted.begin(), wanted.end(),
                     [&](gid_t each) { return std::find(found.begin(), end, each) != end; });
}

// Limits the permitted and the inheritable set, too: the process could take up their unused capabilities
// again. Reads the result back.
int limit_capabilities(std::uint64_t kept) noexcept {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
  if (posix::syscall(SYS_capget, &header, sets.data()) == -1) return errno;
  for (std::size_t half = 0; half < sets.size(); ++half) {
    const auto mask = static_cast<std::uint32_t>(kept >> (32 * half));
    sets[half].effective &= mask;
    sets[half].permitted &= mask;
    sets[half].inheritable &= mask;
  }
  if (posix::syscall(SYS_capset, &header, sets.data()) == -1) return errno;
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> now{};
  if (posix::syscall(SYS_capget, &header, now.data()) == -1) return errno;
  return std::memcmp(now.data(), sets.data(), sizeof now) == 0 ? 0 : EPERM;
}

bool can_be_root_again(const Identity& identity) noexcept {
  if (identity.uid == 0) return false;
  bool can = posix::setuid(0) == 0 || posix::seteuid(0) == 0;
  can = can || (identity.gid != 0 && (posix::setgid(0) == 0 || posix::setegid(0) == 0));
  if (can) {  // a foreground process goes on, and must not be root
    static_cast<void>(posix::setresgid(identity.gid, identity.gid, identity.gid));
    static_cast<void>(posix::setresuid(identity.uid, identity.uid, identity.uid));
  }
  return can;
}

// Replaces root's session keyring: a process that keeps it could read root's keys.
int leave_session_keyring() noexcept {
  constexpr unsigned join = 1;  // KEYCTL_JOIN_SESSION_KEYRING, a new one
  if (posix::syscall(SYS_keyctl, join, nullptr, 0UL, 0UL, 0UL) != -1) return 0;
  // The kernel has no keyrings (ENOSYS), forbids their use (EPERM), or limits the number of keyrings of a
  // user namespace's root (EDQUOT).
  return errno == ENOSYS || errno == EPERM || errno == EDQUOT ? 0 : errno;
}

// On systems that once had 16-bit uids the calls for wider uids have separate names.
#ifdef SYS_setresuid32
constexpr long call_setgroups = SYS_setgroups32;
constexpr long call_setresgid = SYS_setresgid32;
constexpr long call_setresuid = SYS_setresuid32;
#else
constexpr long call_setgroups = SYS_setgroups;
constexpr long call_setresgid = SYS_setresgid;
constexpr long call_setresuid = SYS_setresuid;
#endif

}  // namespace

std::string look_up(const std::string& user, const std::string& group, bool initgroups, Identity& identity) {
  identity = {.uid = posix::geteuid(), .gid = posix::getegid(), .had_privileges = posix::geteuid() == 0};
  if (!user.empty()) {
    Record<passwd> record;
    const auto number = as_number<uid_t>(user);
    const bool found =
        record.look(::getpwnam_r, user.c_str()) || (number && record.look(::getpwuid_r, *number));
    if (!found && !number) return not_found("user", user, record.error);
    if (!found && group.empty()) return "user " + user + " has no name and so no group: name one";
    identity.uid = found ? record.entry.pw_uid : *number;
    if (found) {
      identity.gid = record.entry.pw_gid;
      identity.name = record.entry.pw_name;
      identity.home = record.entry.pw_dir;
    }
  }
  if (!group.empty()) {
    Record<struct group> record;
    const auto number = as_number<gid_t>(group);
    const bool found = record.look(::getgrnam_r, group.c_str());
    if (!found && !number) return not_found("group", group, record.error);
    identity.gid = found ? record.entry.gr_gid : *number;
  }
  identity.groups = {identity.gid};
  if (initgroups && !identity.name.empty()) identity.groups = groups_of(identity.name, identity.gid);
  identity.read_back = identity.groups;
  return {};
}

bool is_elevated() noexcept {
  const auto [uids, gids] = all_ids();
  return std::count(uids.begin(), uids.end(), uids[0]) != 3 ||
         std::count(gids.begin(), gids.end(), gids[0]) != 3;
}

Identity unelevated() {
  Identity identity{.uid = posix::getuid(), .gid = posix::getgid(), .had_privileges = posix::geteuid() == 0};
  const int count = posix::getgroups(0, nullptr);
  identity.groups.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
  posix::getgroups(count, identity.groups.data());
  identity.read_back = identity.groups;
  return identity;
}

int assume(Identity& identity) noexcept {
  if (!identity.had_privileges && has_ids(identity)) return 0;
  if (identity.had_privileges) {
    const int error = posix::getuid() == identity.uid ? 0 : leave_session_keyring();
    if (error != 0) return error;
    if (posix::setgroups(identity.groups.size(), identity.groups.data()) == -1) return errno;
  }
  if (posix::setresgid(identity.gid, identity.gid, identity.gid) == -1) return errno;
  if (posix::setresuid(identity.uid, identity.uid, identity.uid) == -1) return errno;
  identity.assumed = true;
  return 0;
}

int try_on(const Identity& identity) noexcept {
  const auto uid = static_cast<unsigned long>(identity.uid);
  const auto gid = static_cast<unsigned long>(identity.gid);
  if (identity.had_privileges &&
      posix::syscall(call_setgroups, identity.groups.size(), identity.groups.data()) == -1) {
    return errno;
  }
  if (posix::syscall(call_setresgid, gid, gid, gid) == -1) return errno;
  return error_of(posix::syscall(call_setresuid, uid, uid, uid));
}

int verify(Identity& identity, std::uint64_t kept_capabilities) noexcept {
  if (!identity.assumed) return 0;
  if (identity.uid != 0) {
    if (const int error = limit_capabilities(kept_capabilities)) return error;
  }
  return has_ids(identity) && has_groups(identity) && !can_be_root_again(identity) ? 0 : EPERM;
}

}  // namespace daemonctx::posix
