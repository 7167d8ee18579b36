// SPDX-License-Identifier: BSL-1.0

// Landlock, by its three system calls: no library wraps them.

#include <cstdint>
#include <memory>
#include <posix/syscalls.hpp>
#include <system_error>

#include "daemonctx/confine.hpp"
#include "daemonctx/daemon_options.hpp"
#include "features.hpp"
#include "posix/retry.hpp"
#include "posix/unique_fd.hpp"
#include "safe_path/trusted_path.hpp"

#if DAEMONCTX_HAVE_LANDLOCK
#include <linux/landlock.h>
#endif

namespace daemonctx {
namespace {

#if DAEMONCTX_HAVE_LANDLOCK
// Rights that only kernels newer than the header may know.
constexpr std::uint64_t refer = 1U << 13;         // version 2
constexpr std::uint64_t truncate = 1U << 14;      // version 3
constexpr std::uint64_t ioctl_device = 1U << 15;  // version 5

constexpr std::uint64_t read_rights =
    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t write_rights =
    LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |
    LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |
    LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
    LANDLOCK_ACCESS_FS_MAKE_SYM | refer | truncate | ioctl_device;
constexpr std::uint64_t device_rights = LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK;
constexpr std::uint64_t rights_of_a_file = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE |
                                           LANDLOCK_ACCESS_FS_WRITE_FILE | truncate | ioctl_device;

std::uint64_t known_in(long version) {
  std::uint64_t rights = (read_rights | write_rights | device_rights) & ~(refer | truncate | ioctl_device);
  if (version >= 2) rights |= refer;
  if (version >= 3) rights |= truncate;
  if (version >= 5) rights |= ioctl_device;
  return rights;
}

std::system_error failed(const std::string& what) { return {posix::last_error(), what}; }

// Opens a path as the daemon will see it, but follows no link that the daemon's user could have left there.
UniqueFd open_inside(const Path& root, const Path& path) {
  if (path.empty()) throw std::invalid_argument("a path is empty");
  const UniqueFd base = root.empty() ? UniqueFd() : posix::open_directory(root.c_str());
  if (!root.empty() && !base) throw failed('"' + root.native() + '"');
  const Path absolute = root.empty() ? path : "/" / path;
  posix::DirectoryEntry place;
  errno = posix::find_entry(absolute.c_str(), posix::LastComponent::follow, place, AT_FDCWD,
                            base ? base.get() : AT_FDCWD);
  if (errno != 0) throw failed('"' + path.native() + '"');
  if (place.name[0] == '\0') return std::move(place.directory);
  UniqueFd fd(posix::openat(place.directory.get(), place.name.data(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) throw failed('"' + path.native() + '"');
  return fd;
}
#endif

class Landlock final : public Restriction {
 public:
  explicit Landlock(LandlockRules rules) : rules_(std::move(rules)) {}

  const char* name() const noexcept override { return "Landlock rules"; }

#if DAEMONCTX_HAVE_LANDLOCK
  void prepare(const DaemonOptions& options) override {
    ruleset_.reset();
    const long version =
        posix::syscall(SYS_landlock_create_ruleset, nullptr, 0UL, LANDLOCK_CREATE_RULESET_VERSION);
    if (version == -1) {
      if (rules_.best_effort) return;
      throw failed("this kernel has no Landlock, or it is switched off");
    }
    const std::uint64_t known = known_in(version);
    landlock_ruleset_attr attributes{};
    attributes.handled_access_fs = known;
    ruleset_.reset(static_cast<int>(
        posix::syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes.handled_access_fs, 0U)));
    if (!ruleset_) throw failed("no rule set");
    for (const auto& each : rules_.read_only) allow(options.chroot_directory, each, read_rights & known);
    for (const auto& each : rules_.read_write) allow(options.chroot_directory, each, write_rights & known);
  }

  std::vector<int> descriptors() const override {
    return ruleset_ ? std::vector<int>{ruleset_.get()} : std::vector<int>{};
  }

  int apply() noexcept override {
    if (!ruleset_) return 0;
    int error = posix::error_of(posix::prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL));
    if (error == 0) error = posix::error_of(posix::syscall(SYS_landlock_restrict_self, ruleset_.get(), 0U));
    ruleset_.reset();
    return error;
  }

 private:
  void allow(const Path& root, const Path& path, std::uint64_t rights) {
    const UniqueFd place = open_inside(root, path);
    struct stat found {};
    if (posix::fstat(place.get(), &found) == -1) throw failed('"' + path.native() + '"');
    landlock_path_beneath_attr rule{};
    rule.allowed_access = S_ISDIR(found.st_mode) ? rights : rights & rights_of_a_file;
    rule.parent_fd = place.get();
    if (posix::syscall(SYS_landlock_add_rule, ruleset_.get(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0U) == -1) {
      throw failed('"' + path.native() + '"');
    }
  }

  UniqueFd ruleset_;
#else
  void prepare(const DaemonOptions&) override {
    throw std::system_error(ENOTSUP, std::generic_category(), "daemonctx was built without Landlock");
  }

 private:
#endif
  LandlockRules rules_;
};

}  // namespace

RestrictionHandle landlock(LandlockRules rules) { return std::make_shared<Landlock>(std::move(rules)); }

}  // namespace daemonctx
