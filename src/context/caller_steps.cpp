// SPDX-License-Identifier: BSL-1.0
#include "context/caller_steps.hpp"

#include <array>
#include <cstdlib>
#include <memory>
#include <posix/syscalls.hpp>

#include "base/path.hpp"
#include "base/signal_name.hpp"
#include "context/adoption.hpp"
#include "launch/interruption.hpp"
#include "manager/listen_fds.hpp"
#include "posix/retry.hpp"
#include "posix/threads.hpp"
#include "sockets/socket_address.hpp"

namespace daemonctx {
namespace {

using Impl = DaemonContext::Impl;

Path resolve(const Path& path) {
  if (path.empty()) return path;
  if (path.is_absolute()) return path;
  const std::unique_ptr<char, decltype(&std::free)> here(posix::getcwd(nullptr, 0), &std::free);
  if (!here) throw DaemonError(Step::resolve_paths, posix::last_error(), path.native());
  return here.get() / path;
}

StdioTarget resolve(const StdioTarget& target) {
  if (target.kind() != StdioTarget::Kind::file) return target;
  return StdioTarget::file(resolve(target.path()), target.options());
}

// Runs `attempt`, and again if a failed start has removed a directory meanwhile.
template <class Attempt>
void unless_gone(const DaemonOptions& options, Attempt&& attempt) {
  constexpr int most_attempts = 100;
  for (int count = 1;; ++count) {
    try {
      return attempt();
    } catch (const DaemonError& error) {
      const bool is_gone = error.code() == std::errc::no_such_file_or_directory;
      if (!is_gone || options.create_directories.empty() || count == most_attempts) throw;
    }
  }
}

// A signal that ends the wait must not leave behind what the start has made.
void lock_pidfile(Impl& impl, Ticker& ticker, const sigset_t& waiting_mask) {
  const DaemonOptions& options = impl.plan.options;
  if (options.pidfile.empty()) return;
  if (inherit_pidfile(impl)) return;
  std::optional<Interruption> interruption;
  const auto before_wait = [&] {
    if (!interruption) interruption.emplace();
    if (interruption->signal() == 0) return;
    throw DaemonError(Step::lock_pidfile, std::make_error_code(std::errc::interrupted),
                      options.pidfile.native(),
                      "the start was interrupted by " + posix::signal_name(interruption->signal()));
  };
  impl.resources.pidfile =
      Pidfile::lock(options.pidfile, options.pidfile_options.mode, options.pidfile_options.lock_timeout,
                    ticker, &waiting_mask, before_wait);
  if (impl.plan.is_supervised()) impl.resources.pidfile.open_worker_handle();
}

void resolve_paths(DaemonOptions& options) {
  options.chroot_directory = resolve(options.chroot_directory);
  // With `chroot_directory` the working directory is relative to the new root.
  options.working_directory =
      options.chroot_directory.empty() ? resolve(options.working_directory) : "/" / options.working_directory;
  for (Directory& each : options.create_directories) {
    each.path = without_detours(resolve(each.path));
  }
  options.pidfile = resolve(options.pidfile);
  for (ListenSocket& each : options.sockets) {
    if (is_path(each.address)) each.address = without_detours(resolve(Path(each.address))).native();
  }
  options.stdio = {resolve(options.stdio.in), resolve(options.stdio.out), resolve(options.stdio.err)};
}

// With output or error to syslog a monitor passes the lines on.
void add_monitor(DaemonOptions& options) {
  const auto needs_one = [](const StdioTarget& target) { return target.kind() == StdioTarget::Kind::syslog; };
  if (options.respawn || (!needs_one(options.stdio.out) && !needs_one(options.stdio.err))) return;
  options.respawn = true;
  options.respawn_policy = {.max_restarts = 0,
                            .stop_timeout = forever,
                            .monitor_opens = std::move(options.respawn_policy.monitor_opens)};
}

void keep_user_unless_root(DaemonOptions& options) {
  if (options.change_user == ChangeUser::always || posix::geteuid() == 0) return;
  options.user.clear();
  options.group.clear();
  for (Directory& each : options.create_directories) {
    each.user.clear();
    each.group.clear();
  }
  for (ListenSocket& each : options.sockets) {
    each.user.clear();
    each.group.clear();
  }
}

}  // namespace

std::array<std::vector<Directory>, 2> split_by_pidfile(const DaemonOptions& options) {
  std::array<std::vector<Directory>, 2> result;
  if (options.create_directories.empty()) return result;
  const Path wanted = real_path(options.pidfile).parent_path();
  // The pidfile may lie in a parent that is made for one of the directories.
  const bool is_missing = posix::access(wanted.c_str(), F_OK) == -1;
  for (const Directory& each : options.create_directories) {
    const Path made = real_path(each.path);
    const bool comes_first = lies_in(wanted, made) || (is_missing && lies_in(made, wanted));
    result[comes_first ? 0 : 1].push_back(each);
  }
  return result;
}

void resolve_options(DaemonOptions& options) {
  keep_user_unless_root(options);
  resolve_paths(options);
  add_monitor(options);
}

Surroundings look_around(const DaemonOptions& options) {
  Surroundings surroundings = Surroundings::look();
  const bool takes_any =
      options.detach_process == DetachProcess::never || options.start_options.notify_descriptor != -1;
  if (!takes_any) surroundings.drop_ancestors_socket();
  surroundings.is_notified = options.start_options.notify_descriptor != -1;
  return surroundings;
}

// As sd_notify(3): an address that can't be one is no reason not to start.
void adopt_manager(Impl& impl, const Surroundings& surroundings) {
  if (!surroundings.notify_fault.empty())
    impl.report(std::make_exception_ptr(std::runtime_error(surroundings.notify_fault)),
                "NOTIFY_SOCKET is ignored");
  if (const int error = impl.resources.manager.open(surroundings.notify_socket))
    throw DaemonError(Step::adopt_manager, {error, std::generic_category()}, surroundings.notify_socket);
  impl.resources.manager.watch(surroundings.watchdog_timeout());
  if (impl.resources.worker.is_worker()) reach_monitor(impl);
  if (!surroundings.passes_descriptors()) return;
  try {
    impl.resources.listen_descriptors =
        take_over_descriptors(surroundings.listen_fds, surroundings.listen_fdnames);
  } catch (const std::runtime_error& error) {
    throw DaemonError(Step::adopt_manager, std::make_error_code(std::errc::invalid_argument), {},
                      std::string("cannot take over the service manager's descriptors: ") + error.what());
  }
}

void look_up_user(Impl& impl) {
  const DaemonOptions& options = impl.plan.options;
  if (options.user.empty() && options.group.empty()) {
    if (!posix::is_elevated()) return;
    if (impl.plan.is_supervised()) {
      throw DaemonError(Step::look_up_user, std::make_error_code(std::errc::operation_not_permitted), {},
                        "cannot give a set-uid or set-gid program a monitor, which would stay privileged");
    }
    impl.plan.identity = posix::unelevated();
    return;
  }
  impl.plan.identity.emplace();
  const std::string wrong =
      posix::look_up(options.user, options.group, options.initgroups, *impl.plan.identity);
  if (wrong.empty()) return;
  throw DaemonError(Step::look_up_user, std::make_error_code(std::errc::invalid_argument),
                    options.user.empty() ? options.group : options.user, wrong);
}

void check_threads(const Impl& impl) {
  const DaemonOptions& options = impl.plan.options;
  const bool forks = !impl.resources.heir && (impl.plan.detaches() || impl.plan.is_supervised() ||
                                              impl.plan.launch.mode == LaunchMode::init);
  const bool restricts = options.no_new_privileges || !options.restrictions.empty();
  if (forks ? options.start_options.allow_threads : !restricts) return;
  const long threads = posix::settled_threads(1);
  if (threads <= 1) return;
  if (!forks) {
    throw DaemonError(Step::check_threads, std::make_error_code(std::errc::operation_not_permitted), {},
                      "cannot restrict the process: " + std::to_string(threads) +
                          " threads run, and restrictions hold for one (start them after the context was "
                          "constructed)");
  }
  throw DaemonError(Step::check_threads, std::make_error_code(std::errc::operation_not_permitted), {},
                    std::string(impl.plan.detaches()        ? "cannot detach: "
                                : impl.plan.is_supervised() ? "cannot start a worker: "
                                                            : "cannot leave process 1: ") +
                        std::to_string(threads) +
                        " threads run, and a fork keeps only one of them (start them after the context was "
                        "constructed, or set start_options.allow_threads)");
}

// Before the lock, a start creates only the directories that the pidfile lies in. Otherwise a start that is
// refused could create a directory, and remove it after the other start has found it. Owners and modes are
// read with the lock held: before, a start that fails may still put them back.
void create_directories_and_lock_pidfile(Impl& impl, Ticker& ticker, const sigset_t& waiting_mask) {
  const DaemonOptions& options = impl.plan.options;
  Directories& directories = impl.resources.directories;
  const auto first = split_by_pidfile(options)[0];
  unless_gone(options, [&] {
    directories.make(first);
    lock_pidfile(impl, ticker, waiting_mask);
  });
  unless_gone(options, [&] { directories.create(options.create_directories, options.user, options.group); });
}

void open_sockets(Impl& impl) {
  std::vector<ListenDescriptor> inherited;
  if (HandOver* const record = record_of(impl)) inherited = std::exchange(record->sockets, {});
  impl.resources.sockets.open(impl.plan.options.sockets, inherited, impl.resources.listen_descriptors,
                              impl.plan.user());
  // A listening socket that nobody serves would keep its clients waiting.
  for (const ListenDescriptor& each : inherited) posix::close(each.fd);
  tell_sockets(impl);
}

void prepare_restrictions(const DaemonOptions& options) {
  for (const auto& each : options.restrictions) {
    try {
      each->prepare(options);
    } catch (...) {
      throw DaemonError(
          Step::prepare_restrictions, std::make_error_code(std::errc::invalid_argument), each->name(),
          std::string("cannot prepare the ") + each->name() + ": " + message_of(std::current_exception()));
    }
  }
}

void open_stdio(Impl& impl) {
  const DaemonOptions& options = impl.plan.options;
  if (impl.resources.worker.is_worker()) return;  // its monitor has opened the streams
  const bool loses_sight = options.chroot_directory.empty() && !impl.plan.is_supervised() &&
                           (!options.user.empty() || !options.group.empty());
  impl.resources.redirection.open(options.stdio, impl.plan.detaches(), impl.plan.user(), loses_sight);
  if (!impl.resources.pidfile || !impl.resources.redirection.leads_to(impl.resources.pidfile.fd())) return;
  // Refuse it under any name: closed after the redirection, it would take the daemon's locks along.
  throw DaemonError(
      Step::open_stdio, std::make_error_code(std::errc::invalid_argument), options.pidfile.native(),
      "cannot redirect a standard stream to \"" + options.pidfile.native() + "\": it is the pidfile");
}

}  // namespace daemonctx
