// SPDX-License-Identifier: BSL-1.0
#include "context/caller_steps.hpp"

#include <algorithm>
#include <boost/filesystem/operations.hpp>
#include <posix/syscalls.hpp>

#include "manager/listen_fds.hpp"
#include "posix/retry.hpp"
#include "posix/threads.hpp"

namespace daemonctx {
namespace {

namespace fs = boost::filesystem;
using Impl = DaemonContext::Impl;

fs::path resolve(const fs::path& path) {
  if (path.empty()) return path;
  boost::system::error_code error;
  const fs::path here = path.is_absolute() ? fs::path("/") : fs::current_path(error);
  if (error) {
    throw DaemonError(Step::resolve_paths, {error.value(), std::generic_category()}, path.string());
  }
  return fs::absolute(path, here);
}

StdioTarget resolve(const StdioTarget& target) {
  if (target.kind() != StdioTarget::Kind::file) return target;
  return StdioTarget::file(resolve(target.path()), target.options());
}

}  // namespace

void resolve_paths(DaemonOptions& options) {
  options.chroot_directory = resolve(options.chroot_directory);
  // In another root directory it is that one which a path is relative to.
  options.working_directory = options.chroot_directory.empty() ? resolve(options.working_directory)
                                                               : fs::absolute(options.working_directory, "/");
  for (Directory& each : options.create_directories) {
    const std::string path = resolve(each.path).native();
    each.path = fs::path(path.substr(path.find_first_not_of('/') - 1))
                    .lexically_normal();  // "//run" has a meaning of its own
  }
  options.pidfile = resolve(options.pidfile);
  options.stdio = {resolve(options.stdio.in), resolve(options.stdio.out), resolve(options.stdio.err)};
}

void add_monitor(DaemonOptions& options) {
  const auto needs_one = [](const StdioTarget& target) { return target.kind() == StdioTarget::Kind::syslog; };
  if (options.respawn || (!needs_one(options.stdio.out) && !needs_one(options.stdio.err))) return;
  options.respawn = RespawnPolicy{.most_restarts = 0, .stop_timeout = std::chrono::milliseconds::max()};
}

Surroundings look_around(const DaemonOptions& options) {
  Surroundings surroundings = Surroundings::look();
  surroundings.is_notified = options.notify_descriptor != -1;
  return surroundings;
}

void adopt_manager(Impl& impl, const Surroundings& surroundings) {
  const auto refuse = [](const std::string& text) {
    throw DaemonError(Step::adopt_manager, std::make_error_code(std::errc::invalid_argument), {}, text);
  };
  if (const std::string wrong = impl.manager.open(surroundings.notify_socket); !wrong.empty()) refuse(wrong);
  impl.manager.watch(surroundings.watchdog_timeout());
  if (!surroundings.passes_descriptors()) return;
  try {
    impl.listen_descriptors = take_over_descriptors(surroundings.listen_fds, surroundings.listen_fdnames);
  } catch (const std::runtime_error& error) {
    refuse(std::string("cannot take over the service manager's descriptors: ") + error.what());
  }
}

void look_up_user(Impl& impl) {
  const DaemonOptions& options = impl.options;
  if (options.user.empty() && options.group.empty()) {
    if (!posix::is_elevated()) return;
    if (impl.is_supervised()) {
      throw DaemonError(Step::look_up_user, std::make_error_code(std::errc::operation_not_permitted), {},
                        "cannot give a set-uid or set-gid program a monitor, which would stay privileged");
    }
    impl.identity = posix::unelevated();
    return;
  }
  impl.identity.emplace();
  const std::string wrong = posix::look_up(options.user, options.group, options.initgroups, *impl.identity);
  if (wrong.empty()) return;
  throw DaemonError(Step::look_up_user, std::make_error_code(std::errc::invalid_argument),
                    options.user.empty() ? options.group : options.user, wrong);
}

void check_threads(const Impl& impl) {
  const long threads = posix::count_threads();
  const DaemonOptions& options = impl.options;
  if (threads <= 1) return;
  const bool forks = impl.detaches() || impl.is_supervised() || impl.launch.mode == LaunchMode::init;
  const bool restricts = options.no_new_privileges || !options.restrictions.empty();
  if (!forks && restricts) {
    throw DaemonError(Step::check_threads, std::make_error_code(std::errc::operation_not_permitted), {},
                      "cannot restrict the process: " + std::to_string(threads) +
                          " threads run, and restrictions hold for one (start them after the context was "
                          "constructed)");
  }
  if (!forks || options.allow_threads) return;
  throw DaemonError(Step::check_threads, std::make_error_code(std::errc::operation_not_permitted), {},
                    std::string(impl.detaches()        ? "cannot detach: "
                                : impl.is_supervised() ? "cannot start a worker: "
                                                       : "cannot leave process 1: ") +
                        std::to_string(threads) +
                        " threads run, and a fork keeps only one of them (start them after the context was "
                        "constructed, or set allow_threads)");
}

void create_directories(Impl& impl) {
  impl.directories.make(impl.options.create_directories, impl.options.user, impl.options.group);
}

void prepare_restrictions(const DaemonOptions& options) {
  for (const auto& each : options.restrictions) {
    try {
      each->prepare(options);
    } catch (...) {
      throw DaemonError(
          Step::prepare_restrictions, std::make_error_code(std::errc::invalid_argument), each->name(),
          std::string("cannot prepare the ") + each->name() + ": " + describe(std::current_exception()));
    }
  }
}

void open_stdio(Impl& impl) {
  const DaemonOptions& options = impl.options;
  const bool loses_sight =
      options.chroot_directory.empty() && (!options.user.empty() || !options.group.empty());
  const auto user = impl.identity ? std::optional(impl.identity->uid) : std::nullopt;
  impl.redirection = Redirection::open(options.stdio, impl.detaches(), user, loses_sight);
}

void lock_pidfile(Impl& impl, Ticker& ticker, const sigset_t& waiting_mask) {
  if (impl.options.pidfile.empty()) return;
  const fs::path& path = impl.options.pidfile;
  impl.pidfile =
      Pidfile::lock(path, impl.options.pidfile_mode, impl.options.lock_timeout, ticker, &waiting_mask);
  if (impl.is_supervised()) impl.pidfile.expect_workers();
  if (!impl.redirection.leads_to(impl.pidfile.fd())) return;
  // Whatever its name there. Closed after the redirection it would take the daemon's locks along.
  throw DaemonError(Step::open_stdio, std::make_error_code(std::errc::invalid_argument), path.string(),
                    "cannot redirect a standard stream to \"" + path.string() + "\": it is the pidfile");
}

void list_kept_descriptors(Impl& impl, const StatusWriter& status) {
  std::vector<int>& kept = impl.kept_descriptors;
  kept = impl.options.files_preserve;
  impl.redirection.append_descriptors(kept);
  for (const auto& each : impl.options.restrictions) {
    for (const int fd : each->descriptors()) kept.push_back(fd);
  }
  for (const ListenDescriptor& each : impl.listen_descriptors) kept.push_back(each.fd);
  for (const int fd : {impl.manager.fd(), impl.options.notify_descriptor}) {
    if (fd != -1) kept.push_back(fd);
  }
  kept.push_back(status.fd());
  impl.pidfile.append_descriptors(kept);
  if (SignalDispatcher::fd() != -1) kept.push_back(SignalDispatcher::fd());  // of an earlier context
  std::sort(kept.begin(), kept.end());
}

}  // namespace daemonctx
