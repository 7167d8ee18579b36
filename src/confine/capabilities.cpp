// SPDX-License-Identifier: BSL-1.0

// Capabilities, by libcap.

#include <algorithm>
#include <memory>
#include <posix/syscalls.hpp>
#include <system_error>

#include "daemonctx/confine.hpp"
#include "daemonctx/daemon_options.hpp"
#include "features.hpp"
#include "posix/identity.hpp"
#include "posix/retry.hpp"

#if DAEMONCTX_HAVE_LIBCAP
#include <sys/capability.h>
#endif

namespace daemonctx {
namespace {

#if DAEMONCTX_HAVE_LIBCAP
struct CapFree {
  void operator()(cap_t set) const noexcept { ::cap_free(set); }
};
using CapabilitySet = std::unique_ptr<_cap_struct, CapFree>;

cap_value_t value_of(const std::string& name) {
  cap_value_t value = 0;
  if (::cap_from_name(name.c_str(), &value) == 0) return value;
  throw std::invalid_argument("there is no capability \"" + name + '"');
}

bool has(const CapabilitySet& set, cap_value_t value, cap_flag_t flag) {
  cap_flag_value_t found = CAP_CLEAR;
  return ::cap_get_flag(set.get(), value, flag, &found) == 0 && found == CAP_SET;
}
#endif

class KeptCapabilities final : public Restriction {
 public:
  explicit KeptCapabilities(std::vector<std::string> names) : names_(std::move(names)) {}

  const char* name() const noexcept override { return "capabilities"; }

#if DAEMONCTX_HAVE_LIBCAP
  void prepare(const DaemonOptions& options) override {
    const CapabilitySet mine(::cap_get_proc());
    kept_.reset(::cap_init());
    if (!mine || !kept_) throw std::system_error(posix::last_error());
    values_.clear();
    is_unbounded_ = false;
    for (const std::string& each : names_) {
      const cap_value_t value = value_of(each);
      const bool changes_user = !options.user.empty() || !options.group.empty() || posix::is_elevated();
      if (changes_user && (value == CAP_SETUID || value == CAP_SETGID)) {
        throw std::invalid_argument(each + " would be the way back to root");
      }
      if (!has(mine, value, CAP_PERMITTED)) {
        throw std::system_error(EPERM, std::generic_category(), "this process does not have " + each);
      }
      values_.push_back(value);
    }
    if (values_.empty()) return;
    const int count = static_cast<int>(values_.size());
    if (::cap_set_flag(kept_.get(), CAP_PERMITTED, count, values_.data(), CAP_SET) == -1 ||
        ::cap_set_flag(kept_.get(), CAP_EFFECTIVE, count, values_.data(), CAP_SET) == -1) {
      throw std::system_error(posix::last_error());
    }
  }

  std::uint64_t kept_capabilities() const noexcept override {
    std::uint64_t kept = 0;
    for (const cap_value_t each : values_) kept |= std::uint64_t{1} << each;
    return kept;
  }

  // Drop the bounding set before the change of user: afterwards the process may not change it. If it may not
  // even now (EPERM), `apply` keeps executed programs from gaining anything by it.
  int before_change_of_user() noexcept override {
    for (cap_value_t each = 0; CAP_IS_SUPPORTED(each); ++each) {
      const bool kept = std::find(values_.begin(), values_.end(), each) != values_.end();
      if (kept || ::cap_get_bound(each) == 0 || ::cap_drop_bound(each) == 0) continue;
      if (errno != EPERM) return errno;
      is_unbounded_ = true;
    }
    return posix::error_of(posix::prctl(PR_SET_KEEPCAPS, 1UL, 0UL, 0UL, 0UL));
  }

  // Fail as root: programs that root executes get the whole bounding set, whatever else is ruled out.
  int apply() noexcept override {
    if (!is_unbounded_) return 0;
    if (posix::getuid() == 0 || posix::geteuid() == 0) return EPERM;
    return posix::error_of(posix::prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL));
  }

  int after_change_of_user() noexcept override {
    if (::cap_set_proc(kept_.get()) == -1) return errno;
    return posix::error_of(posix::prctl(PR_SET_KEEPCAPS, 0UL, 0UL, 0UL, 0UL));
  }

 private:
  CapabilitySet kept_;
  std::vector<cap_value_t> values_;
  bool is_unbounded_ = false;
#else
  void prepare(const DaemonOptions&) override {
    throw std::system_error(ENOTSUP, std::generic_category(), "daemonctx was built without libcap");
  }

 private:
#endif
  std::vector<std::string> names_;
};

}  // namespace

RestrictionHandle keep_capabilities(std::vector<std::string> names) {
  return std::make_shared<KeptCapabilities>(std::move(names));
}

}  // namespace daemonctx
