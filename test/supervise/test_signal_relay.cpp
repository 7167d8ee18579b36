// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE signal_relay
#include "supervise/signal_relay.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include "process/owner.hpp"
#include "scene.hpp"

using daemonctx::SignalRelay;

namespace {

// Forks a process that does nothing, in the caller's process group.
pid_t start_idler() {
  const pid_t idler = ::fork();
  while (idler == 0) ::pause();
  return idler;
}

int terminate_and_get_signal(pid_t process) {
  int status = 0;
  ::kill(process, SIGTERM);
  while (::waitpid(process, &status, 0) == -1) continue;
  return WTERMSIG(status);
}

}  // namespace

// kill() with the pid 0 would signal the whole process group.
BOOST_AUTO_TEST_CASE(a_signal_is_kept_while_there_is_no_worker) {
  const pid_t monitor = ::fork();
  if (monitor == 0) {
    ::setpgid(0, 0);
    daemonctx::process::become_owner();
    const pid_t bystander = start_idler();
    const pid_t worker = start_idler();
    SignalRelay relay(
        {}, [] {}, [](int, int) {}, [](const daemonctx::SignalInfo&) {}, [](std::uint64_t) {});
    bool good = relay.install(false) == 0;
    relay.set_worker(bystander);
    relay.worker_mapped(SIGUSR1);
    relay.set_worker(0);
    ::raise(SIGUSR1);
    relay.dispatch();
    relay.worker_mapped(SIGUSR1);  // a last message of the worker that has ended
    good = good && terminate_and_get_signal(bystander) == SIGTERM;
    relay.set_worker(worker);
    relay.worker_mapped(SIGUSR1);
    good = good && terminate_and_get_signal(worker) == SIGUSR1;
    ::_exit(good ? 0 : 1);
  }
  BOOST_TEST(scene::await_end(monitor).exited(0));
}
