// SPDX-License-Identifier: BSL-1.0

// `preflight`: checks what a start would find, and starts nothing.

#include <algorithm>
#include <vector>

#include "base/path.hpp"
#include "context/caller_steps.hpp"
#include "context/daemon_steps.hpp"
#include "daemonctx/run.hpp"
#include "manager/listen_fds.hpp"

namespace daemonctx {
namespace {

// The directories that are missing, and that the start would create.
class MissingDirectories {
 public:
  explicit MissingDirectories(const DaemonOptions& options)
      : missing_(Directories::check(options.create_directories, options.user, options.group)) {
    for (Path& each : missing_) each = real_path(each);
  }

  bool none() const noexcept { return missing_.empty(); }

  // Runs a check of `path`. Its failure is no fault if `path` lies in a missing directory.
  template <class Check>
  void check(const Path& path, Check&& check) const {
    try {
      check();
    } catch (const DaemonError& error) {
      if (error.code() != std::errc::no_such_file_or_directory || !is_missing(real_path(path))) throw;
    }
  }

 private:
  bool is_missing(const Path& path) const {
    return std::any_of(missing_.begin(), missing_.end(),
                       [&](const Path& directory) { return lies_in(path, directory); });
  }

  std::vector<Path> missing_;
};

void check_stream(const DaemonContext::Impl& impl, const Stdio& stream) {
  Redirection::check(stream, impl.plan.detaches(), impl.plan.user());
}

// What the manager has passed is checked when the start takes it over.
void check_socket(const DaemonContext::Impl& impl, const Surroundings& surroundings,
                  const ListenSocket& socket) {
  if (surroundings.passes_descriptors() && has_name(surroundings.listen_fdnames, socket.name)) return;
  Sockets::check(socket, impl.plan.user());
}

}  // namespace

void preflight(DaemonOptions options) {
  validate(options);
  resolve_options(options);
  const Surroundings surroundings = look_around(options);
  const LaunchDecision launch = decide_launch(options.detach_process, surroundings, options.pidfile);
  DaemonContext::Impl impl(std::move(options), launch);
  look_up_user(impl);
  check_threads(impl);
  const DaemonOptions& checked = impl.plan.options;
  const MissingDirectories missing(checked);
  for (const ListenSocket& each : checked.sockets)
    missing.check(each.address, [&] { check_socket(impl, surroundings, each); });
  if (missing.none()) prepare_restrictions(checked);
  check_stream(impl, {.in = checked.stdio.in});
  missing.check(checked.stdio.out.path(), [&] { check_stream(impl, {.out = checked.stdio.out}); });
  missing.check(checked.stdio.err.path(), [&] { check_stream(impl, {.err = checked.stdio.err}); });
  missing.check(checked.pidfile, [&] {
    if (!checked.pidfile.empty()) Pidfile::check(checked.pidfile);
  });
  missing.check(checked.chroot_directory.native() + checked.working_directory.native(),
                [&] { check_working_directory(impl); });
}

}  // namespace daemonctx
