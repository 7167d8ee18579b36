// SPDX-License-Identifier: BSL-1.0
#include "daemonctx/daemon_options.hpp"

#include <algorithm>
#include <posix/syscalls.hpp>
#include <stdexcept>
#include <string>

#include "base/path.hpp"
#include "base/timeout_text.hpp"
#include "posix/limits.hpp"
#include "sockets/check_sockets.hpp"
#include "supervise/restart_policy.hpp"

namespace daemonctx {
namespace {

void require(bool condition, const std::string& member, const std::string& reason) {
  if (!condition) throw std::invalid_argument(member + ": " + reason);
}

bool is_open(int fd) noexcept { return posix::fcntl(fd, F_GETFD) != -1; }

void check_durations(const DaemonOptions& options) {
  const auto check = [](Timeout timeout, const char* member) {
    require(timeout >= Timeout(), member, "must not be negative, is " + to_text(timeout));
  };
  check(options.pidfile_options.lock_timeout, "pidfile_options.lock_timeout");
  check(options.ready_timeout, "ready_timeout");
  check(options.cleanup_timeout, "cleanup_timeout");
  require(options.cleanup_timeout > Timeout(), "cleanup_timeout",
          "must be longer than zero: each cleanup would be given up at once");
}

// LOG_KERN, which is 0, is reserved for the kernel.
bool can_be_facility(int number) noexcept {
  return (number & ~LOG_FACMASK) == 0 && LOG_FAC(number) > 0 && LOG_FAC(number) < LOG_NFACILITIES;
}

// System calls would end the text at the NUL.
void check_text(const std::string& text, const std::string& member) {
  require(text.find('\0') == std::string::npos, member, "has a NUL character in it");
}

void check_target(const StdioTarget& target, const std::string& member, const DaemonOptions& options) {
  if (target.kind() == StdioTarget::Kind::descriptor) {
    require(is_open(target.descriptor()), member,
            "descriptor " + std::to_string(target.descriptor()) + " is not open");
  }
  const bool is_syslog = target.kind() == StdioTarget::Kind::syslog;
  if (is_syslog || target.kind() == StdioTarget::Kind::journal) {
    const std::string& name = target.identifier();
    const std::string log = is_syslog ? "syslog" : "the journal";
    require(!name.empty() && name.find_first_of(std::string("\n\0", 2)) == std::string::npos, member,
            "the identifier for " + log + " is empty, or not one line");
    require(&target != &options.stdio.in, member, log + " can't be read from");
    require(can_be_facility(target.facility()), member,
            std::to_string(target.facility()) + " is not the facility of a service");
  }
  if (target.kind() != StdioTarget::Kind::file) return;
  require(!target.path().empty(), member, "the file's path is empty");
  for (const std::string* text : {&target.path().native(), &target.options().user, &target.options().group}) {
    check_text(*text, member);
  }
  require(target.options().mode <= 07777, member, "the file's mode has more than permission bits");
  require(target.path() != options.pidfile, member, "the file is the pidfile");
}

bool can_be_mapped(int number) noexcept {
  const bool kept_by_libc = number >= 32 && number < SIGRTMIN;
  return number > 0 && number < NSIG && number != SIGKILL && number != SIGSTOP && !kept_by_libc;
}

// A handler that returns repeats the instruction that raised the signal, for ever.
bool raised_by_instruction(int number) noexcept {
  return number == SIGSEGV || number == SIGBUS || number == SIGFPE || number == SIGILL;
}

void check_signal(int number, const SignalAction& action) {
  const std::string name = "signal " + std::to_string(number);
  require(can_be_mapped(number), "signal_map", name + " can't be handled");
  const auto* standard = action.action();
  require(!raised_by_instruction(number) || (standard != nullptr && *standard == Action::restore_default),
          "signal_map", name + " is raised by a faulty instruction and can only have restore_default");
  require(standard != nullptr || action.function() != nullptr, "signal_map", name + " has an empty function");
}

void check_restrictions(const std::vector<RestrictionHandle>& restrictions) {
  for (auto each = restrictions.begin(); each != restrictions.end(); ++each) {
    require(each->get() != nullptr, "restrictions", "one is a null pointer");
    const auto is_same = [&](const RestrictionHandle& other) { return other.get() == each->get(); };
    require(std::none_of(restrictions.begin(), each, is_same), "restrictions",
            std::string("the ") + (*each)->name() + " are there twice");
  }
}

void check_limits(const DaemonOptions& options) {
  const auto is_within = [](std::optional<int> value, int least, int most) {
    return !value || (*value >= least && *value <= most);
  };
  const Limits& limits = options.limits;
  for (const ResourceLimit& each : limits.resources) {
    const char* const name = posix::limit_name(each.resource);
    require(name != nullptr, "limits.resources", std::to_string(each.resource) + " is no resource");
    require(each.soft <= each.hard.value_or(each.soft), "limits.resources",
            std::string(name) + ": the soft limit is above the hard limit");
    require(each.resource != RLIMIT_CORE || !options.prevent_core, "limits.resources",
            "RLIMIT_CORE contradicts prevent_core");
  }
  require(is_within(limits.nice, -20, 19), "limits.nice", "must be from -20 to 19");
  require(is_within(limits.oom_score_adj, -1000, 1000), "limits.oom_score_adj", "must be from -1000 to 1000");
  for (const int cpu : limits.cpus)
    require(is_within(cpu, 0, CPU_SETSIZE - 1), "limits.cpus", std::to_string(cpu) + " is no processor");
}

void check_directory(const Directory& directory) {
  const std::string member = "create_directories";
  const std::string quoted = '"' + directory.path.native() + '"';
  require(!directory.path.empty(), member, "a path is empty");
  require(directory.mode <= 07777, member, "the mode of " + quoted + " has more than permission bits");
  for (const std::string* text : {&directory.path.native(), &directory.user, &directory.group}) {
    check_text(*text, member);
  }
  // Refuse "..": behind a symbolic link it leads elsewhere than the text says.
  const auto names = components(directory.path);
  require(std::find(names.begin(), names.end(), "..") == names.end(), member, quoted + " has \"..\" in it");
  require(!names.empty(), member, quoted + " must name a directory of the service's own");
}

}  // namespace

void validate(const DaemonOptions& options) {
  require(!options.working_directory.empty(), "working_directory", "must not be empty");
  require(options.umask <= 0777, "umask", "has more than permission bits");
  check_text(options.working_directory.native(), "working_directory");
  check_text(options.chroot_directory.native(), "chroot_directory");
  check_text(options.pidfile.native(), "pidfile");
  check_text(options.user, "user");
  check_text(options.group, "group");
  check_target(options.stdio.in, "stdio.in", options);
  check_target(options.stdio.out, "stdio.out", options);
  check_target(options.stdio.err, "stdio.err", options);
  for (const auto& [number, action] : options.signal_map) check_signal(number, action);
  for (const int fd : options.files_preserve) {
    require(is_open(fd), "files_preserve", "descriptor " + std::to_string(fd) + " is not open");
  }
  const int notified = options.start_options.notify_descriptor;
  require(notified == -1 || is_open(notified), "start_options.notify_descriptor",
          "descriptor " + std::to_string(notified) + " is not open");
  check_durations(options);
  if (options.respawn) validate(options.respawn_policy);
  const mode_t mode = options.pidfile_options.mode;
  require((mode & ~mode_t{0644}) == 0 && (mode & 0600) == 0600, "pidfile_options.mode",
          "must let the owner read and write, and others do no more than read");
  require(options.pidfile_options.tag < std::uint64_t{1} << 57U, "pidfile_options.tag", "must be below 2^57");
  for (const Directory& each : options.create_directories) check_directory(each);
  check_text(options.title, "title");
  check_sockets(options.sockets);
  check_limits(options);
  check_restrictions(options.restrictions);
  if (!options.environment.variables()) return;
  for (const auto& [name, value] : *options.environment.variables()) {
    require(!name.empty() && name.find_first_of(std::string("=\0", 2)) == std::string::npos &&
                value.find('\0') == std::string::npos,
            "environment", "\"" + name + "\" can't be a variable");
  }
}

}  // namespace daemonctx
