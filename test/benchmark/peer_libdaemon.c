// SPDX-License-Identifier: BSL-1.0

// libdaemon, as its own example (testd.c) uses it.

#include <errno.h>
#include <libdaemon/dfork.h>
#include <libdaemon/dlog.h>
#include <libdaemon/dpid.h>
#include <libdaemon/dsignal.h>
#include <signal.h>
#include <sys/select.h>
#include <unistd.h>

#include "service.h"

static struct Service service;

static const char* pidfile(void) { return service.pidfile; }

static int refuse_second(void) {
  const pid_t pid = daemon_pid_file_is_running();
  if (pid < 0) return 0;
  daemon_log(LOG_ERR, "Daemon already running on PID file, pid %d", (int)pid);
  return 1;
}

static int wait_until_ready(void) {
  const int status = daemon_retval_wait(20);
  if (status != 0) daemon_log(LOG_ERR, "Daemon returned %i", status);
  return status == 0 ? 0 : 1;
}

static int fail(int status) {
  daemon_retval_send(status);
  return 1;
}

static int set_up(void) {
  if (daemon_close_all(-1) < 0) return fail(1);
  if (daemon_pid_file_create() < 0) return fail(2);
  if (daemon_signal_init(SIGINT, SIGTERM, SIGQUIT, SIGHUP, 0) < 0) return fail(3);
  service_begin(&service);
  daemon_retval_send(0);
  service_ready(&service);
  return 0;
}

static int next_signal(void) {
  fd_set readable;
  FD_ZERO(&readable);
  FD_SET(daemon_signal_fd(), &readable);
  if (select(FD_SETSIZE, &readable, 0, 0, 0) < 0) return errno == EINTR ? SIGHUP : SIGTERM;
  return daemon_signal_next();
}

static int be_daemon(void) {
  if (set_up() != 0) return 1;
  while (next_signal() == SIGHUP) {
  }
  service_end(&service);
  daemon_signal_done();
  daemon_pid_file_remove();
  return 0;
}

int main(int argc, char** argv) {
  service = service_from_arguments(argc, argv);
  service_prepare(&service);
  daemon_log_use = DAEMON_LOG_STDERR;
  daemon_pid_file_proc = pidfile;
  if (daemon_reset_sigs(-1) < 0 || daemon_unblock_sigs(-1) < 0) return 1;
  if (refuse_second() || daemon_retval_init() < 0) return 1;
  const pid_t daemon = daemon_fork();
  if (daemon < 0) return 1;
  return daemon == 0 ? be_daemon() : wait_until_ready();
}
