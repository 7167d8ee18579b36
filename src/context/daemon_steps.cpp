// SPDX-License-Identifier: BSL-1.0
#include "context/daemon_steps.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <posix/syscalls.hpp>
#include <span>

#include "pidfile/lock_board.hpp"
#include "posix/child_trap.hpp"
#include "posix/close_fds.hpp"
#include "posix/die_with_parent.hpp"
#include "posix/limits.hpp"
#include "posix/resource_limits.hpp"
#include "posix/retry.hpp"
#include "posix/signals.hpp"
#include "posix/threads.hpp"
#include "safe_path/trusted_path.hpp"

namespace daemonctx {
namespace {

using Impl = DaemonContext::Impl;

// Each returns 0 or an errno.

int reset_signals(Impl&) noexcept {
  posix::reset_all_dispositions();
  return 0;
}

int close_descriptors(Impl& impl) noexcept {
  impl.resources.keep();  // closes its descriptors before their numbers can be reused
  return impl.plan.options.close_descriptors ? posix::close_fds_except(impl.kept_descriptors) : 0;
}

int limit_core(Impl& impl) noexcept {
  if (!impl.plan.options.prevent_core) return 0;
  const int error = posix::prevent_core();
  return error != 0 ? error : posix::forbid_dumps();
}

// Leaves the hard limit: the rollback of a failed start must be able to restore the soft one.
int limit_core_for_now(Impl& impl) noexcept {
  if (!impl.plan.options.prevent_core) return 0;
  const int error = posix::prevent_core_for_now();
  return error != 0 ? error : posix::forbid_dumps();
}

int set_umask(Impl& impl) noexcept {
  posix::umask(impl.plan.options.umask);
  return 0;
}

}  // namespace

int claim_pidfile(Impl& impl) noexcept {
  Pidfile& pidfile = impl.resources.pidfile;
  const int error = pidfile ? pidfile.claim() : 0;
  const std::uint64_t tag = impl.plan.options.pidfile_options.tag;
  if (error != 0 || !pidfile || tag == 0) return error;
  return posix::show_number(pidfile.fd(), posix::BoardNumber::tag, tag);
}

namespace {

int write_pidfile(Impl& impl) noexcept {
  const bool is_others = !impl.resources.is_claimed || impl.resources.worker.is_worker();
  return is_others ? 0 : claim_pidfile(impl);
}

// Only start steps touch the lifeline: a running service may have closed it and reused its number.
int tie_to_monitor(Impl& impl) noexcept {
  const int error = impl.resources.worker.is_worker()
                        ? posix::kill_me_when_closed(impl.resources.worker.lifeline.get())
                        : 0;
  return error != 0 ? error : impl.resources.tie_to_monitor();
}

int run_before_drop(Impl& impl) noexcept {
  if (!impl.plan.options.before_drop) return 0;
  try {
    // Count in /proc, not by the C library: an emulator's thread must be in both counts.
    const long threads = impl.plan.is_restricted() ? posix::count_threads() : 0;
    const posix::ChildTrap trap;
    impl.plan.options.before_drop();
    if (!impl.plan.is_restricted() || posix::settled_threads(threads) <= threads) return 0;
    impl.refusal = "cannot restrict the daemon: before_drop started a thread, and restrictions hold for one";
    return ECANCELED;
  } catch (...) {
    impl.refusal = message_of(std::current_exception());
    return ECANCELED;
  }
}

// Call `fchdir` before `chroot`: a working directory outside the new root is a way out; see chroot(2).
int change_root(Impl& impl) noexcept {
  if (impl.plan.options.chroot_directory.empty()) return 0;
  const UniqueFd root = posix::open_directory(impl.plan.options.chroot_directory.c_str());
  if (!root || posix::fchdir(root.get()) == -1 || posix::chroot(".") == -1) return errno;
  impl.resources.left_root = true;
  return posix::error_of(posix::chdir("/"));
}

int restrict(Impl& impl, int (Restriction::*phase)() noexcept) noexcept {
  for (const auto& each : impl.plan.options.restrictions) {
    const int error = ((*each).*phase)();
    if (error == 0) continue;
    impl.refusal =
        std::string("cannot apply the ") + each->name() + ": " + std::generic_category().message(error);
    return error;
  }
  return 0;
}

// Clear PR_SET_KEEPCAPS: otherwise the change of user keeps all capabilities. It may be locked; ignore that.
int restrict_before_user_change(Impl& impl) noexcept {
  posix::prctl(PR_SET_KEEPCAPS, 0UL, 0UL, 0UL, 0UL);
  return restrict(impl, &Restriction::before_change_of_user);
}

int change_user(Impl& impl) noexcept { return impl.plan.identity ? posix::assume(*impl.plan.identity) : 0; }

int drop_privileges(Impl& impl) noexcept { return restrict(impl, &Restriction::after_change_of_user); }

int verify_user(Impl& impl) noexcept {
  if (!impl.plan.identity) return 0;
  std::uint64_t kept = 0;
  for (const auto& each : impl.plan.options.restrictions) kept |= each->kept_capabilities();
  return posix::verify(*impl.plan.identity, kept);
}

// The change of user resets the dumpable flag to `fs.suid_dumpable`; see prctl(2).
int forbid_dumps(Impl& impl) noexcept { return impl.plan.options.prevent_core ? posix::forbid_dumps() : 0; }

int change_directory(Impl& impl) noexcept {
  return posix::error_of(posix::chdir(impl.plan.options.working_directory.c_str()));
}

int probe_working_directory(Impl& impl) noexcept {
  // The child ends without SIGCHLD: the program's handler could take it for one of the program's children.
  const auto child = static_cast<pid_t>(posix::syscall(SYS_clone, 0UL, nullptr, nullptr, nullptr, 0UL));
  if (child == 0) {
    // An error here is no answer: the daemon will fail in the same step, and report it.
    if (change_root(impl) != 0 || (impl.plan.identity && posix::try_on(*impl.plan.identity) != 0))
      posix::_exit(EXIT_SUCCESS);
    posix::_exit(change_directory(impl));
  }
  int status = 0;
  if (child == -1) return 0;  // no answer
  if (posix::retry([&] { return posix::waitpid(child, &status, __WCLONE); }) == -1) return errno;
  return WEXITSTATUS(status);
}

// Probe before the change of user: after it a failed start in the foreground can undo nothing.
int probe_directory_where_needed(Impl& impl) noexcept {
  const bool is_sure = !impl.plan.identity && impl.plan.options.chroot_directory.empty();
  return is_sure ? 0 : probe_working_directory(impl);
}

int rule_out_new_privileges(Impl& impl) noexcept {
  if (!impl.plan.options.no_new_privileges) return 0;
  return posix::error_of(posix::prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL));
}

int install_signal_map(Impl& impl) noexcept { return impl.signals.install(impl.plan.detaches()); }

int set_limits(Impl& impl) noexcept {
  const auto [error, what] = posix::apply(impl.plan.options.limits);
  if (error != 0)
    impl.refusal =
        std::string("cannot set the limits: ") + what + ": " + std::generic_category().message(error);
  return error;
}

int redirect_input(Impl& impl) noexcept { return impl.resources.redirection.redirect_input(); }

int apply_restrictions(Impl& impl) noexcept { return restrict(impl, &Restriction::apply); }

struct DaemonStep {
  Step step;
  int (*run)(Impl&) noexcept;
};

// The first steps, up to `write_pidfile`, run in the monitor if there is one.
constexpr std::size_t common_detached_steps = 5;
constexpr auto detached_steps = std::to_array<DaemonStep>({
    {Step::reset_signals, reset_signals},
    {Step::close_descriptors, close_descriptors},
    {Step::limit_core, limit_core},
    {Step::set_umask, set_umask},
    {Step::write_pidfile, write_pidfile},
    {Step::start_worker, tie_to_monitor},
    {Step::install_signal_map, install_signal_map},
    {Step::set_limits, set_limits},
    {Step::run_before_drop, run_before_drop},
    {Step::change_root, change_root},
    {Step::apply_restrictions, restrict_before_user_change},
    {Step::change_user, change_user},
    {Step::apply_restrictions, drop_privileges},
    {Step::change_user, verify_user},
    {Step::change_user, tie_to_monitor},
    {Step::limit_core, forbid_dumps},
    {Step::change_directory, change_directory},
    {Step::rule_out_new_privileges, rule_out_new_privileges},
    {Step::redirect_stdio, redirect_input},
    {Step::apply_restrictions, apply_restrictions},
});

constexpr std::size_t common_foreground_steps = 3;
constexpr auto foreground_steps = std::to_array<DaemonStep>({
    {Step::limit_core, limit_core_for_now},
    {Step::set_umask, set_umask},
    {Step::write_pidfile, write_pidfile},
    {Step::start_worker, tie_to_monitor},
    {Step::install_signal_map, install_signal_map},
    {Step::redirect_stdio, redirect_input},
    {Step::set_limits, set_limits},
    {Step::run_before_drop, run_before_drop},
    {Step::change_directory, probe_directory_where_needed},
    {Step::change_root, change_root},
    {Step::apply_restrictions, restrict_before_user_change},
    {Step::change_user, change_user},
    {Step::apply_restrictions, drop_privileges},
    {Step::change_user, verify_user},
    {Step::change_user, tie_to_monitor},
    {Step::change_directory, change_directory},
    {Step::limit_core, limit_core},
    {Step::rule_out_new_privileges, rule_out_new_privileges},
    {Step::apply_restrictions, apply_restrictions},
});

std::span<const DaemonStep> all_steps(LaunchMode mode) noexcept {
  if (mode == LaunchMode::detached) return detached_steps;
  return foreground_steps;
}

std::size_t common_steps(LaunchMode mode) noexcept {
  return mode == LaunchMode::detached ? common_detached_steps : common_foreground_steps;
}

std::optional<FailedStep> take(std::span<const DaemonStep> steps, Impl& impl) noexcept {
  for (const DaemonStep& each : steps) {
    if (const int error = each.run(impl)) return FailedStep{each.step, error};
  }
  return std::nullopt;
}

std::vector<Step> listed(std::span<const DaemonStep> steps) {
  std::vector<Step> list;
  for (const DaemonStep& each : steps) {
    // A step that runs in several parts is listed once, in the place of its last part.
    list.erase(std::remove(list.begin(), list.end(), each.step), list.end());
    list.push_back(each.step);
  }
  return list;
}

}  // namespace

// With `before_drop` there is no probe: that function may create the directory.
void check_working_directory(Impl& impl) {
  const int error = impl.plan.options.before_drop ? 0 : probe_working_directory(impl);
  if (error == 0) return;
  throw DaemonError(Step::change_directory, {error, std::generic_category()},
                    impl.plan.options.working_directory.native());
}

std::vector<Step> planned_steps(LaunchMode mode) { return listed(all_steps(mode)); }

std::optional<FailedStep> run_monitor_steps(Impl& impl) noexcept {
  return take(all_steps(impl.plan.launch.mode).first(common_steps(impl.plan.launch.mode)), impl);
}

std::optional<FailedStep> run_worker_steps(Impl& impl) noexcept {
  return take(all_steps(impl.plan.launch.mode).subspan(common_steps(impl.plan.launch.mode)), impl);
}

}  // namespace daemonctx
