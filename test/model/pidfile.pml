/* SPDX-License-Identifier: BSL-1.0

   Starts, daemons and a controller around one pidfile. Any of them may be killed between any two steps.
   doc/design.md says which step is which function.

   STARTS     how many starts race
   KILLS      how many processes are killed, at most
   OTHERS     1: a controller stops a daemon meanwhile, and another removes a stale pidfile
   PLANTED    0: the protocol as it is; else a fault that the model must notice */

#ifndef STARTS
#define STARTS 2
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifndef OTHERS
#define OTHERS 1
#endif
#ifndef PLANTED
#define PLANTED 0
#endif

#define FILES (STARTS + 1) /* inodes; one that nobody has open and no path leads to is used again */

/* ---- The file system: a path, and files that outlive it. */
byte path = 0; /* the file behind the path; 0: none */
byte opened[FILES + 1]; /* descriptors of a file, not counting copies */
byte exclusion[FILES + 1];    /* byte 0: 1 + the start whose open file description has the lock */
byte identity[FILES + 1];     /* byte 1: the pid of the holder */
byte ready_lock[FILES + 1];   /* byte 2: likewise */
byte leaving_lock[FILES + 1]; /* byte 4: likewise */
bool written[FILES + 1];      /* the file is not empty */
bool caller_has[STARTS], daemon_has[STARTS]; /* copies of the descriptor of one open file description */

/* ---- Processes. The daemon of start n has the pid n + 1. When it has ended, a bystander may get the pid. */
bool lives[STARTS];
bool kill_caller[STARTS], kill_daemon[STARTS];
byte kills = 0;
bool stop_signal[STARTS];
bool serves[STARTS];

/* ---- What a caller knows of its daemon: the status pipe. */
mtype = {silent, ready, failed};
mtype pipe[STARTS] = silent;
bool caller_gone[STARTS];
bool was_ready[STARTS];

byte serving = 0; /* how many daemons serve */

inline release_locks(file, number) {
  if
  :: identity[file] == number -> identity[file] = 0
  :: else
  fi;
  if
  :: ready_lock[file] == number -> ready_lock[file] = 0
  :: else
  fi;
  if
  :: leaving_lock[file] == number -> leaving_lock[file] = 0
  :: else
  fi
}

/* Closes a copy. The last one gives the exclusion lock up. */
inline close_as_caller(start, file) {
  caller_has[start] = false;
  unlock_without_copy(start, file)
}

inline close_as_daemon(start, file) {
  daemon_has[start] = false;
  unlock_without_copy(start, file)
}

inline unlock_without_copy(start, file) {
  if
  :: !caller_has[start] && !daemon_has[start] ->
    if
    :: exclusion[file] == start + 1 -> exclusion[file] = 0
    :: else
    fi;
    close(file)
  :: else
  fi
}

inline close(file) {
  opened[file]--;
  forget_unused(file)
}

inline forget_unused(file) {
  if
  :: opened[file] == 0 && path != file -> written[file] = false
  :: else
  fi
}

/* Unlinks the path if it still leads to the file: two steps, as lstat(2) and unlink(2) are. */
inline remove_in_place(file) {
#if PLANTED == 1
  path = 0
#else
  if
  :: path == file -> path = 0
  :: else
  fi
#endif
}

proctype Daemon(byte me; byte file) {
  byte number = me + 1;
  {
    /* claim */
#if PLANTED == 2
    pipe[me] = ready;
#endif
    atomic {
      assert(identity[file] == 0); /* no two processes claim one file */
      identity[file] = number
    }
    written[file] = true;
    if
    :: true
    :: pipe[me] = failed; goto leave /* a step of the start fails */
    fi;
#if PLANTED != 3
    atomic { ready_lock[file] = number; was_ready[me] = true };
#else
    was_ready[me] = true;
#endif
    if
    :: caller_gone[me] -> goto leave /* the start was cut off */
    :: else -> pipe[me] = ready
    fi;
    atomic {
      serves[me] = true;
      serving++;
      assert(serving == 1);                     /* never two daemons */
      assert(path == file && exclusion[file] == me + 1); /* no lost lock */
      assert(ready_lock[file] == number)           /* who was told "ready" finds it ready */
    }
end_serve:
    if
    :: stop_signal[me]
    :: true /* it ends by itself */
    fi;
    leaving_lock[file] = number;
#if PLANTED == 4
    atomic { release_locks(file, number); close_as_daemon(me, file) };
#endif
    atomic { serves[me] = false; serving-- };
leave:
#if PLANTED == 5
    atomic { release_locks(file, number); close_as_daemon(me, file) };
    remove_in_place(file);
#else
    remove_in_place(file);
#endif
  } unless { kill_daemon[me] };
  atomic {
    if
    :: serves[me] -> serves[me] = false; serving--
    :: else
    fi;
    release_locks(file, number);
    close_as_daemon(me, file);
    lives[me] = false;
    if
    :: pipe[me] == silent -> pipe[me] = failed /* end of file */
    :: else
    fi
  }
}

proctype Start(byte me) {
  byte file = 0;
  bool locked = false;
  {
    true;
again: /* open_or_create_pidfile */
    atomic {
      if
      :: path != 0 -> file = path
      :: else ->
        file = 1;
        do
        :: opened[file] != 0 -> file++
        :: else -> break
        od;
        path = file
      fi;
      opened[file]++;
      caller_has[me] = true
    };
    /* lock_exclusion */
    atomic {
      if
      :: exclusion[file] == 0 -> exclusion[file] = me + 1; locked = true
      :: else -> locked = false
#if PLANTED == 6
      :: true -> exclusion[file] = me + 1; locked = true
#endif
      fi
    };
    if
    :: !locked -> /* wait_for_holder: tries again, or its patience ends */
      atomic { close_as_caller(me, file) };
      if
      :: goto again
      :: goto out
      fi
    :: else
    fi;
    /* is_in_place */
#if PLANTED != 7
    if
    :: path != file -> atomic { close_as_caller(me, file) }; goto again
    :: else
    fi;
#endif
    /* fork */
    atomic {
      daemon_has[me] = true;
      lives[me] = true;
      run Daemon(me, file)
    };
#if PLANTED == 8
    daemon_has[me] = false; /* the daemon opens the file anew, without the lock */
#endif
    if
    :: pipe[me] == ready -> assert(was_ready[me]) /* exit status 0 only if it was ready */
    :: pipe[me] == failed ->
      !lives[me]; /* take_down waits for its end */
#if PLANTED != 9
      remove_in_place(file)
#else
      path = 0
#endif
    :: pipe[me] == silent -> /* ready_timeout: take_down */
      kill_daemon[me] = true;
      !lives[me];
      remove_in_place(file)
    fi;
    skip
out:
    skip
  } unless { kill_caller[me] };
  atomic {
    caller_gone[me] = true;
    if
    :: caller_has[me] -> close_as_caller(me, file)
    :: else
    fi;
    file = 0;
    locked = false
  }
}

/* Kills whom it likes. */
proctype Fate() {
  byte who;
end_fate:
  do
  :: atomic {
      kills < KILLS -> kills++;
      select(who : 0 .. STARTS - 1);
      if
      :: kill_caller[who] = true
      :: kill_daemon[who] = true
      fi;
      who = 0
    }
  od
}

/* Only `Stop` sees who has the pid, so it lets the bystander in. */
inline bystander_may_come() {
  if
  :: !lives[number - 1] -> bystander = true
  :: true
  fi
}

/* Controller::stop. A pidfd names the process that had the pid when it was opened. */
proctype Stop() {
  byte file, number;
  bool bystander, names_bystander, has_pidfd;
  atomic {
    file = path;
    if
    :: file == 0 -> goto out
    :: else -> opened[file]++
    fi
  };
  number = identity[file];
  if
  :: number == 0 -> goto done
  :: else
  fi;
  /* open_pidfd */
  atomic {
    bystander_may_come();
    has_pidfd = lives[number - 1] || bystander;
    names_bystander = bystander
  };
  /* check_holder */
#if PLANTED != 10
  if
  :: identity[file] != number || !has_pidfd -> goto done
  :: else
  fi;
#endif
  atomic {
    bystander_may_come();
#if PLANTED == 11
    names_bystander = bystander; /* kill(2) by number */
#endif
    assert(!names_bystander); /* no signal to a bystander */
    stop_signal[number - 1] = true
  };
  !lives[number - 1]; /* await_end */
done:
  atomic { close(file); file = 0; number = 0; has_pidfd = false; bystander = false; names_bystander = false };
out:
  skip
}

/* remove_stale: takes the exclusion lock for a moment. */
proctype Sweep() {
  byte file;
  atomic {
    file = path;
    if
    :: file == 0 -> goto out
    :: else -> opened[file]++
    fi
  };
  atomic {
    if
    :: exclusion[file] == 0 -> exclusion[file] = 255
    :: else -> goto done
    fi
  };
  if
  :: written[file] && path == file -> path = 0
  :: else
  fi;
  exclusion[file] = 0;
done:
  atomic { close(file); file = 0 };
out:
  skip
}

init {
  byte n;
  atomic {
    for (n : 0 .. STARTS - 1) { run Start(n) };
#if OTHERS
    run Stop();
    run Sweep();
#endif
    run Fate()
  }
}
