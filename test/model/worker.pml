/* SPDX-License-Identifier: BSL-1.0

   A monitor with its worker, two controllers, and another start that wants the same pidfile. Monitor and worker
   may be killed between any two steps. doc/design.md says which step is which function.

   KILLS      how many processes are killed, at most
   RESTARTS   how many workers the monitor starts after the first
   PLANTED    0: the protocol as it is; else a fault that the model must notice */

#ifndef KILLS
#define KILLS 1
#endif
#ifndef RESTARTS
#define RESTARTS 1
#endif
#ifndef PLANTED
#define PLANTED 0
#endif

#define monitor_pid 1
#define other_pid 2
#define other_file 2 /* the pidfile that the other start makes, once the monitor has removed the first */

/* ---- The pidfile: the path, and the locks of the two files. */
byte path = 1;
byte exclusion[3]; /* byte 0: the pid of the service whose open file description has the lock */
byte identity[3];  /* byte 1: the pid of the holder */
bool worker_lock;  /* byte 3, of the first file: belongs to the handle */

/* Copies of the monitor's descriptor, and of the read-only handle that is there for the worker. */
bool monitor_has_file, worker_has_file, monitor_has_handle, worker_has_handle;

/* ---- Processes. */
bool monitor_lives, worker_lives, other_lives;
bool worker_is_tied; /* the kernel kills it after its monitor has ended */
bool kill_monitor, kill_worker;
bool monitor_was_killed;
byte kills = 0;
bool monitor_stop, monitor_reload, worker_stop, worker_reload, other_stop;
byte serving = 0; /* how many services work */

/* ---- Between worker and monitor, and what the monitor shows on the lock board. */
mtype = {offers, begins, ends};
chan to_monitor = [2] of { mtype };
bool begin_is_shown;
byte finished = 0;
bool running, refused; /* refused: the last outcome */

/* ---- What each controller has asked for, and whether a reload began after that. */
bool asked[2], answered[2];

inline close_unused() {
  if
  :: !monitor_has_file && !worker_has_file && exclusion[1] == monitor_pid -> exclusion[1] = 0
  :: else
  fi;
  if
  :: !monitor_has_handle && !worker_has_handle -> worker_lock = false
  :: else
  fi
}

inline begin_to_serve() {
  serving++;
  assert(serving == 1) /* never two services */
}

/* ---- The worker. */
proctype Worker() {
  bool serves = false;
  {
    /* Pidfile::leave_to_monitor */
#if PLANTED == 1 /* in the wrong order, and without a look at the monitor */
    atomic { worker_has_file = false; close_unused() };
    worker_lock = true;
#elif PLANTED == 2
    atomic { worker_has_file = false; close_unused() };
#else
    worker_lock = true;
    atomic { worker_has_file = false; close_unused() };
#endif
    /* tie_to_monitor */
#if PLANTED != 3
    worker_is_tied = true;
#endif
#if PLANTED != 1
    if
    :: !monitor_lives -> goto leave
    :: else
    fi;
#endif
    atomic { begin_to_serve(); serves = true };
    to_monitor ! offers;
end_serve:
    do
    :: worker_stop -> break
    :: !worker_stop && worker_reload ->
      worker_reload = false;
      /* Resources::tell_reload */
      atomic { begin_is_shown = false; to_monitor ! begins };
#if PLANTED != 4
      begin_is_shown || !monitor_lives;
#endif
      atomic {
        answered[0] = asked[0] || answered[0];
        answered[1] = asked[1] || answered[1]
      };
      to_monitor ! ends
    od;
leave:
    skip
  } unless { kill_worker };
  atomic {
    if
    :: serves -> serving--
    :: else
    fi;
    worker_has_file = false;
    worker_has_handle = false;
    close_unused();
    kill_worker = false;
    worker_stop = false;
    worker_reload = false;
    worker_is_tied = false;
    worker_lives = false
  }
}

/* ---- The monitor. `handed_on`: the worker has the signal, and has not said that it began. `held`: the next
   worker is to get it. */
inline start_worker() {
  atomic {
    worker_lives = true;
    worker_has_file = true;
    worker_has_handle = true;
    run Worker()
  }
}

inline hand_on() {
  atomic {
    held = false;
    handed_on = true;
    worker_reload = worker_lives
  }
}

inline handle(message) {
  if
  :: message == offers ->
    offered = true;
    if
    :: held -> hand_on()
    :: else
    fi
  :: message == begins ->
    atomic { running = true; handed_on = false; begin_is_shown = true }
  :: message == ends ->
#if PLANTED == 5
    handed_on = false;
#endif
    atomic { running = false; refused = false; finished++ }
  fi
}

proctype Monitor() {
  mtype message;
  bool stopping = false, handed_on = false, held = false, offered = false;
  byte restarts = 0;
  {
    atomic { assert(identity[1] == 0); identity[1] = monitor_pid };
    start_worker();
end_monitor:
    do
    :: to_monitor ? message -> handle(message)
    :: monitor_stop && !stopping ->
      stopping = true;
      if
      :: worker_lives -> worker_stop = true
      :: else
      fi
    :: monitor_reload ->
      monitor_reload = false;
      if
      :: offered && worker_lives -> hand_on()
      :: else -> held = true
      fi
    :: !worker_lives && empty(to_monitor) ->
      offered = false;
      /* Monitor::end_reload */
#if PLANTED != 6
      if
      :: handed_on -> held = true; handed_on = false
      :: else
      fi;
#else
      handed_on = false;
#endif
#if PLANTED != 7
      if
      :: running -> atomic { running = false; refused = true; finished++ }
      :: else
      fi;
#endif
      if
      :: stopping || restarts == RESTARTS -> break
      :: else -> restarts++; start_worker()
      fi
#if PLANTED == 8
    :: stopping -> break /* without waiting for the worker */
#endif
    od;
    /* Pidfile::remove */
    if
    :: path == 1 -> path = 0
    :: else
    fi
  } unless { kill_monitor };
  atomic {
    if
    :: kill_monitor -> monitor_was_killed = true
    :: else
    fi;
    if
    :: identity[1] == monitor_pid -> identity[1] = 0
    :: else
    fi;
    monitor_has_file = false;
    monitor_has_handle = false;
    close_unused();
    monitor_lives = false
  }
}

/* ---- Another start, with a daemon that has no worker. */
proctype Other() {
  byte file;
  do
  :: atomic {
      if
      :: path != 0 -> file = path
      :: else -> path = other_file; file = other_file
      fi
    };
    /* lock_exclusion */
    atomic {
      if
      :: exclusion[file] == 0 -> exclusion[file] = other_pid
      :: else -> file = 0
      fi
    };
    if
    :: file == 0 -> /* wait_for_holder */
      if
      :: skip
      :: goto out
      fi
    :: file != 0 && path != file -> exclusion[file] = 0
    :: file != 0 && path == file -> break
    fi
  od;
  /* wait_for_worker */
#if PLANTED != 9
  if
  :: file == 2 || !worker_lock
  :: exclusion[file] = 0; goto out
  fi;
#endif
  other_lives = true;
  atomic { assert(identity[file] == 0); identity[file] = other_pid };
  atomic { begin_to_serve() };
end_other:
  if
  :: other_stop
  :: true
  fi;
  serving--;
  if
  :: path == file -> path = 0
  :: else
  fi;
  atomic { identity[file] = 0; exclusion[file] = 0; other_lives = false };
out:
  skip
}

/* ---- A controller: stops the service, or has it reload and waits for the outcome. */
proctype Control(byte me) {
  byte file, number, needed;
  atomic {
    file = path;
    if
    :: file == 0 -> goto out
    :: else -> number = identity[file]
    fi
  };
  if
  :: number == 0 -> goto out
  :: number == other_pid -> other_stop = true; goto out
  :: number == monitor_pid
  fi;
  if
  :: /* Controller::stop */
    monitor_stop = true;
    !monitor_lives;
    assert(monitor_was_killed || !worker_lives) /* an orderly stop leaves no worker */
  :: /* Controller::reload */
    atomic {
      asked[me] = true; /* who asks has changed the configuration before */
#if PLANTED == 10
      needed = finished + 1
#else
      needed = finished + (running -> 2 : 1)
#endif
    };
    monitor_reload = true;
    if
    :: atomic { finished >= needed -> assert(refused || answered[me]) } /* it began after the request */
    :: !monitor_lives
    fi
  fi;
out:
  skip
}

/* The kernel kills a tied worker some time after its monitor has ended. */
proctype Fate() {
end_fate:
  do
  :: atomic {
      kills < KILLS -> kills++;
      if
      :: monitor_lives -> kill_monitor = true
      :: worker_lives -> kill_worker = true
      :: else
      fi
    }
  :: atomic { worker_lives && worker_is_tied && !monitor_lives -> kill_worker = true }
  od
}

init {
  atomic {
    exclusion[1] = monitor_pid;
    monitor_has_file = true;
    monitor_has_handle = true;
    monitor_lives = true;
    run Monitor();
    run Other();
    run Control(0);
    run Control(1);
    run Fate()
  }
}
