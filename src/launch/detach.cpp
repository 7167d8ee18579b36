// SPDX-License-Identifier: BSL-1.0
#include "launch/detach.hpp"

#include <sys/mman.h>

#include <posix/syscalls.hpp>

#include "features.hpp"
#include "posix/retry.hpp"
#include "posix/rseq.hpp"
#include "posix/thread_id.hpp"
#include "posix/threads.hpp"
#include "process/fork_handlers.hpp"

namespace daemonctx {
namespace {

// Returns in the daemon only. `tell` passes the daemon's pid to the caller.
template <class Tell>
void be_intermediate(const StatusWriter& status, Tell&& tell) noexcept {
  if (posix::setsid() == -1) {
    status.send_failure(Step::create_session, errno);
    posix::_exit(EXIT_FAILURE);
  }
  const pid_t daemon = posix::fork();
  if (daemon == 0) return posix::restore_rseq();
  if (daemon == -1) status.send_failure(Step::start_daemon, errno);
  else tell(daemon);
  posix::_exit(daemon == -1 ? EXIT_FAILURE : EXIT_SUCCESS);
}

}  // namespace

pid_t start_by_vfork(const StatusWriter& status, pid_t& daemon) noexcept {
  const process::OwnFork own(process::OwnFork::Locks::leave);
  const posix::ThreadIdKeeper keeps_id;  // for the intermediate, if the caller is killed
  volatile pid_t told = 0;               // the intermediate writes into the caller's memory
  const pid_t intermediate = posix::vfork();
  // The intermediate never leaves this frame. The daemon does, but on a copy of the stack.
  if (intermediate == 0) be_intermediate(status, [&told](pid_t pid) { told = pid; });
  daemon = told;
  return intermediate;
}

// The intermediate writes the pid into memory that it shares with the caller. A pipe would take descriptors,
// of which the starter may have few. The daemon unmaps the memory before it runs any other code.
pid_t start_by_fork(const StatusWriter& status, pid_t& daemon) noexcept {
  const process::OwnFork own;
  void* const shared =
      posix::mmap(nullptr, sizeof(pid_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return -1;
  auto* const told = static_cast<volatile pid_t*>(shared);
  const pid_t intermediate = posix::fork();
  const int error = errno;
  if (intermediate == 0) be_intermediate(status, [told](pid_t pid) { *told = pid; });
  if (intermediate > 0) {
    siginfo_t ended{};
    posix::retry(
        [&] { return posix::waitid(P_PID, static_cast<id_t>(intermediate), &ended, WEXITED | WNOWAIT); });
    daemon = *told;
  }
  posix::munmap(shared, sizeof(pid_t));
  errno = error;
  return intermediate;
}

pid_t start_intermediate(const StatusWriter& status, pid_t& daemon) noexcept {
#if DAEMONCTX_USE_VFORK
  if (posix::is_single_threaded()) return start_by_vfork(status, daemon);
#endif
  return start_by_fork(status, daemon);
}

ParentScope::ParentScope() noexcept {
#ifdef PR_SET_CHILD_SUBREAPER
  posix::prctl(PR_GET_CHILD_SUBREAPER, &former_subreaper_);
  posix::prctl(PR_SET_CHILD_SUBREAPER, 1);
#endif
  struct sigaction reported {};
  reported.sa_handler = SIG_DFL;
  posix::sigaction(SIGCHLD, &reported, &former_disposition_);
}

ParentScope::~ParentScope() {
  if (!restores_) return;
#ifdef PR_SET_CHILD_SUBREAPER
  posix::prctl(PR_SET_CHILD_SUBREAPER, former_subreaper_);
#endif
  posix::sigaction(SIGCHLD, &former_disposition_, nullptr);
  static_cast<void>(::raise(SIGCHLD));  // another child of the caller may have ended unnoticed
}

}  // namespace daemonctx
