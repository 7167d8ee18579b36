// SPDX-License-Identifier: BSL-1.0

// The system call filter, by libseccomp. In the caller libseccomp builds the program for the kernel. The
// daemon only installs it.

#include <algorithm>
#include <iterator>
#include <memory>
#include <posix/syscalls.hpp>
#include <stdexcept>
#include <system_error>

#include "base/number.hpp"
#include "daemonctx/confine.hpp"
#include "daemonctx/daemon_options.hpp"
#include "features.hpp"
#include "posix/retry.hpp"
#include "posix/unique_fd.hpp"

#if DAEMONCTX_HAVE_LIBSECCOMP
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#endif

namespace daemonctx {
namespace {

constexpr const char* basic_calls =
    // open descriptors
    "read readv pread64 write writev pwrite64 lseek close dup dup2 dup3 fcntl fstat fstatfs ftruncate fsync "
    "fdatasync flock pipe2 eventfd2 sendmsg recvmsg sendto recvfrom shutdown getsockopt getsockname "
    "getpeername "
    // files by name, but not their contents
    "stat lstat newfstatat statx access faccessat faccessat2 readlink readlinkat getcwd unlink unlinkat "
    "utimensat umask "
    // waiting
    "poll ppoll select pselect6 epoll_create1 epoll_ctl epoll_wait epoll_pwait futex nanosleep "
    "clock_nanosleep clock_gettime clock_getres gettimeofday time restart_syscall "
    // signals, and the end of children
    "rt_sigaction rt_sigprocmask rt_sigreturn rt_sigtimedwait rt_sigpending rt_sigsuspend pause sigaltstack "
    "tgkill wait4 waitid "
    // memory
    "brk mmap munmap mremap mprotect madvise "
    // threads
    "set_robust_list get_robust_list rseq set_tid_address membarrier sched_yield sched_getaffinity getcpu "
    "getrlimit getrusage sysinfo uname getrandom "
    // the process's own ids
    "getpid gettid getppid getpgrp getpgid getsid getuid geteuid getgid getegid getgroups getresuid "
    "getresgid "
    // the end
    "exit exit_group";

#if DAEMONCTX_HAVE_LIBSECCOMP
struct Release {
  void operator()(void* filter) const noexcept { ::seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, Release>;

void check(int result, const std::string& what) {
  if (result < 0) throw std::system_error(-result, std::generic_category(), what);
}

void add_rule(const Filter& filter, std::uint32_t action, const std::string& call) {
  const int number = ::seccomp_syscall_resolve_name(call.c_str());
  if (number == __NR_SCMP_ERROR) throw std::invalid_argument("there is no system call \"" + call + '"');
  check(::seccomp_rule_add(filter.get(), action, number, 0), call);
}

void allow_where(const Filter& filter, int call, const scmp_arg_cmp& condition) {
  check(::seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, call, 1, condition), "the filter");
}

// Allows calls that are basic only with some arguments. `clone` may start threads, but no processes. In
// `clone3` a filter cannot tell them apart: its flags are in memory. After ENOSYS the C library uses clone.
void allow_some(const Filter& filter, bool clone3_too) {
  allow_where(filter, SCMP_SYS(socket), {0, SCMP_CMP_EQ, AF_UNIX, 0});  // to reach the service manager
  allow_where(filter, SCMP_SYS(openat), {2, SCMP_CMP_MASKED_EQ, O_PATH, O_PATH});  // to walk to the pidfile
  for (const std::uint64_t question :
       {std::uint64_t{TCGETS}, std::uint64_t{0x802c542a}}) {  // isatty(3), by TCGETS or TCGETS2
    allow_where(filter, SCMP_SYS(ioctl), {1, SCMP_CMP_EQ, question, 0});
  }
  allow_where(filter, SCMP_SYS(prlimit64), {0, SCMP_CMP_EQ, 0, 0});  // its own limits
  allow_where(filter, SCMP_SYS(clone), {0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD});
  if (!clone3_too)
    check(::seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0), "clone3");
}

bool contains(const std::vector<std::string>& calls, const std::string& call) {
  return std::find(calls.begin(), calls.end(), call) != calls.end();
}

std::vector<sock_filter> program_of(const Filter& filter) {
  const UniqueFd file(posix::memfd_create("filter", MFD_CLOEXEC));
  if (!file) throw std::system_error(posix::last_error());
  check(::seccomp_export_bpf(filter.get(), file.get()), "the filter");
  struct stat size {};
  posix::fstat(file.get(), &size);
  std::vector<sock_filter> program(static_cast<std::size_t>(size.st_size) / sizeof(sock_filter));
  if (posix::pread(file.get(), program.data(), program.size() * sizeof(sock_filter), 0) != size.st_size) {
    throw std::system_error(posix::last_error());
  }
  return program;
}
#endif

class SystemCallFilter final : public Restriction {
 public:
  explicit SystemCallFilter(SystemCallRules rules) : rules_(std::move(rules)) {}

  const char* name() const noexcept override { return "system call filter"; }

#if DAEMONCTX_HAVE_LIBSECCOMP
  void prepare(const DaemonOptions& options) override {
    program_.clear();
    if (options.restrictions.back().get() != this) {
      throw std::invalid_argument("it must be the last restriction");
    }
    if (!rules_.allowed.empty() && !rules_.denied.empty()) {
      throw std::invalid_argument("system calls are either allowed or denied");
    }
    const std::uint32_t kill = SECCOMP_RET_KILL_PROCESS;
    if (posix::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0U, &kill) == -1) {
      if (rules_.best_effort) return;
      throw std::system_error(posix::last_error(), "this kernel has no system call filters");
    }
    const std::uint32_t violation =
        rules_.on_violation == Violation::kill ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_ERRNO(EPERM);
    const bool denies = !rules_.denied.empty();
    const Filter filter(::seccomp_init(denies ? SCMP_ACT_ALLOW : violation));
    if (!filter) throw std::bad_alloc();
    check(::seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS), "architecture");
    for (const auto& each : rules_.denied) add_rule(filter, violation, each);
    if (!denies) allow(filter);
    program_ = program_of(filter);
  }

  int apply() noexcept override {
    if (program_.empty()) return 0;
    sock_fprog program{static_cast<unsigned short>(program_.size()), program_.data()};
    const int error = posix::error_of(posix::prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL));
    return error != 0 ? error
                      : posix::error_of(posix::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0U, &program));
  }

 private:
  void allow(const Filter& filter) const {
    for (const auto& each : basic_system_calls()) add_rule(filter, SCMP_ACT_ALLOW, each);
    for (const auto& each : rules_.allowed) add_rule(filter, SCMP_ACT_ALLOW, each);
    allow_some(filter, contains(rules_.allowed, "clone3"));
  }

  std::vector<sock_filter> program_;
#else
  void prepare(const DaemonOptions&) override {
    throw std::system_error(ENOTSUP, std::generic_category(), "daemonctx was built without libseccomp");
  }

 private:
#endif
  SystemCallRules rules_;
};

}  // namespace

const std::vector<std::string>& basic_system_calls() {
  static const std::vector<std::string> calls = [] {
    std::vector<std::string> names;
    std::string_view rest = basic_calls;
    while (!rest.empty()) {
      if (const auto name = take_word(rest, ' '); !name.empty()) names.emplace_back(name);
    }
    return names;
  }();
  return calls;
}

RestrictionHandle system_calls(SystemCallRules rules) {
  return std::make_shared<SystemCallFilter>(std::move(rules));
}

}  // namespace daemonctx
