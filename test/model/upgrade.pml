/* SPDX-License-Identifier: BSL-1.0

   The upgrade of a service without a monitor: the old service, its successor, another start that wants the
   same pidfile, a controller that stops the service, and one that asks for upgrades. Either service may be
   killed between any two steps. doc/design.md says which step is which function.

   KILLS      how many processes are killed, at most
   REQUESTS   how many upgrades a controller asks for, one after the other
   OTHERS     1: an upgrade that another controller has asked for comes first
   REFUSALS   how often a claim fails, at most: another process has a read lock on the pidfile
   STOPS      1: a controller stops the service
   STARTS     1: a third start tries to get in
   PLANTED    0: the protocol as it is; else a fault that the model must notice */

#ifndef KILLS
#define KILLS 1
#endif
#ifndef REQUESTS
#define REQUESTS 1
#endif
#ifndef OTHERS
#define OTHERS 0
#endif
#ifndef REFUSALS
#define REFUSALS 1
#endif
#ifndef STOPS
#define STOPS 1
#endif
#ifndef STARTS
#define STARTS 1
#endif
#ifndef PLANTED
#define PLANTED 0
#endif

#define old 1
#define heir 2
#define third 3
#define other_file 2 /* the pidfile that the third process makes, once the first one was removed */
#define none 255

/* ---- The pidfile: the path, and the locks of the first file. */
byte path = 1;
byte identity = old;   /* byte 1: the holder */
byte ready_lock = old; /* byte 2: likewise */

/* Copies of the descriptor. `old` and `heir` share one open file description, with the exclusion lock. */
bool has_file[4];
#define is_excluded (has_file[old] || has_file[heir] || has_file[third])

/* What each process shows of its upgrades, if it has the identity lock. `requester` 0: nobody. */
bool shown[4], running[4], refused[4];
byte finished[4], requester[4];

/* ---- Processes. */
bool lives[4], killed[4], ending[4];
bool serves[4];       /* takes itself for the service */
byte heirs = 0;       /* how many successors there were: each has a pid of its own */
bool stop_signal[4];  /* SignalInbox::stop */
byte upgrade_signal[4]; /* by whom; 0: none */
byte kills = 0, refusals = 0;
bool ended_by_itself;

/* It is the service, or may become it. */
#define is_up(process) \
  (lives[process] && !killed[process] && !ending[process] && !(process == old && is_left))

/* ---- Within the old service. */
bool upgrade_runs; /* the thread of Upgrade::run */
bool stop_wake;    /* is readable */
bool is_replaced;
bool is_left; /* the successor is the service, and this process only ends */

/* ---- Within the successor. */
bool heir_waits;   /* the thread of Heir::wait */
bool is_claimed;
bool cannot_claim, has_given_up;

/* ---- Between them: the status pipe, and the channel. */
bool heir_is_ready;
mtype = { claim, claimed };
chan to_heir = [1] of { mtype };
chan to_old = [1] of { mtype };
bool channel_open[3]; /* false: the other one reads the end of file */

/* ---- What was promised to those who asked. */
bool stopped; /* a stop has succeeded */
bool excused; /* the service may end: it was told to, or was killed without a successor that was ready */
bool was_marked_ready;

inline become_service(process) {
  assert(!serves[old] && !serves[heir] && !serves[third]); /* never two services */
  assert(!stopped || process == third);                    /* nor one that was stopped */
  assert(path == 1 || process == third);                   /* nor one that cannot be found */
  serves[process] = true
}

/* Gives up what belongs to a process. `disclaim` and a process's end do that. */
inline unlock(process) {
  if
  :: identity == process -> identity = 0
  :: else
  fi;
  if
  :: ready_lock == process -> ready_lock = 0
  :: else
  fi;
  shown[process] = false;
  running[process] = false
}

inline end(process) {
  serves[process] = false;
  unlock(process);
  has_file[process] = false;
  lives[process] = false
}

inline remove_in_place() {
  if
  :: path == 1 -> path = 0
  :: else
  fi
}

/* ---- The old service. Its main thread only ends it. */
proctype Old() {
  {
    true;
end_old:
    stop_signal[old] || ended_by_itself;
    /* Ending::begin: Upgrade::end */
    ending[old] = true;
    stop_wake = true;
#if PLANTED != 2
    !upgrade_runs; /* join */
#endif
    /* Resources::remove_pidfile */
    serves[old] = false;
    if
    :: is_replaced
    :: else -> remove_in_place()
    fi;
    atomic { channel_open[old] = false; end(old) }
  } unless { killed[old] }
}

inline kill_heir() {
  atomic {
    if
    :: lives[heir] -> killed[heir] = true; channel_open[heir] = false
    :: else
    fi
  };
  !lives[heir]
}

/* Successor::take_down: SIGTERM, and after a while SIGKILL. */
inline take_down_heir() {
  stop_signal[heir] = true;
  if
  :: !lives[heir]
  :: kill_heir()
  fi
}

/* Its upgrades: Upgrade::request in the thread that dispatches signals, the rest in the upgrade's thread. */
proctype Upgrade() {
  byte sender;
  {
    true;
end_upgrade:
    do
    :: atomic { upgrade_signal[old] != 0 -> sender = upgrade_signal[old]; upgrade_signal[old] = 0 };
      /* request */
      if
      :: ending[old] -> break
      :: else
      fi;
      atomic { running[old] = true; requester[old] = sender };
      stop_wake = false; /* drain */
      atomic {
        if
#if PLANTED != 1
        :: ending[old] -> goto refuse
#endif
        :: else -> upgrade_runs = true
        fi
      };
      /* Successor::Successor */
      atomic {
        heirs++;
        lives[heir] = true;
        killed[heir] = false;
        ending[heir] = false;
        stop_signal[heir] = false;
        upgrade_signal[heir] = 0;
        heir_is_ready = false;
        heir_waits = false;
        is_claimed = false;
        cannot_claim = false;
        has_given_up = false;
        was_marked_ready = false;
        channel_open[old] = true;
        channel_open[heir] = true;
        has_file[heir] = true;
        run Heir(heirs)
      };
      /* await_ready */
      if
      :: heir_is_ready
      :: !lives[heir] -> goto refuse
      :: stop_wake ->
#if PLANTED != 11
        take_down_heir();
#endif
        goto refuse
      :: true -> take_down_heir(); goto refuse /* `ready_timeout` */
      fi;
      /* await_proof */
      if
      :: true
      :: !lives[heir] -> goto refuse
      :: stop_wake -> take_down_heir(); goto refuse
      fi;
      /* switch_to */
      if
      :: stop_signal[old] -> take_down_heir(); goto refuse
      :: else
      fi;
      is_replaced = true;
      atomic { serves[old] = false; unlock(old) }; /* disclaim */
      /* let_claim */
      if
      :: atomic { channel_open[heir] && !ending[heir] -> to_heir ! claim }
      :: !channel_open[heir] || ending[heir] -> goto claim_again
      fi;
      if
      :: to_old ? claimed
#if PLANTED != 19
      :: empty(to_old) && !channel_open[heir] -> goto claim_again
#endif
      fi;
      /* drain */
      stop_signal[old] = true; /* request_stop */
      if
      :: ending[old]
      :: stop_wake && !ending[old] -> stop_signal[heir] = true; !lives[heir]
      :: true -> atomic { killed[old] = true; channel_open[old] = false } /* `drain` is over: _exit */
      fi;
      upgrade_runs = false;
      break;
claim_again:
#if PLANTED != 3
      kill_heir();
#endif
      is_replaced = false;
      atomic { assert(identity == 0); identity = old; become_service(old) };
#if PLANTED == 4
      ready_lock = old;
      shown[old] = true;
#else
#if PLANTED != 9
      finished[old] = finished[old] + 2; /* the successor may have shown the next number */
#endif
      atomic { shown[old] = true; running[old] = true };
      ready_lock = old;
#endif
refuse:
      /* The thread that dispatches ignores signals meanwhile, but it may be late. */
#if PLANTED != 20
      if
      :: upgrade_signal[old] = 0
      :: true
      fi;
#endif
      atomic { finished[old]++; running[old] = false; refused[old] = true };
#if PLANTED == 20
      upgrade_signal[old] = 0;
#endif
      /* Successor::~Successor */
      atomic {
        channel_open[old] = false;
        do
        :: to_heir ? _
        :: to_old ? _
        :: empty(to_heir) && empty(to_old) -> break
        od;
        upgrade_runs = false
      }
    od
  } unless { killed[old] || !lives[old] }
}

/* ---- The successor. */
#define heir_is_gone (killed[heir] || heirs != me)

proctype Heir(byte me) {
  {
    if
    :: true -> goto leave /* its start fails */
    :: stop_signal[heir] -> goto leave
    :: true
    fi;
    atomic { heir_is_ready = true; heir_waits = true; run Claim(me) };
end_heir:
    do
    :: stop_signal[heir] || ending[heir] || has_given_up -> break
    :: atomic { upgrade_signal[heir] != 0 -> /* refused */
        if
        :: is_claimed -> finished[heir]++; refused[heir] = true; requester[heir] = upgrade_signal[heir]
        :: else
        fi;
        upgrade_signal[heir] = 0
      }
    od;
    ending[heir] = true; /* Heir::end */
#if PLANTED != 5
    !heir_waits;
#endif
leave:
    serves[heir] = false;
    if
    :: is_claimed || PLANTED == 18 -> remove_in_place()
    :: else
    fi;
    atomic { channel_open[heir] = false; end(heir) }
  } unless { heir_is_gone }
}

inline show_as_heir() {
  atomic {
    shown[heir] = true; finished[heir] = finished[old] + 1; running[heir] = false; refused[heir] = false;
    requester[heir] = requester[old]
  }
}

/* Heir::wait */
proctype Claim(byte me) {
  bool predecessor_lives = false;
  {
    if
    :: to_heir ? claim -> predecessor_lives = true
#if PLANTED != 13
    :: empty(to_heir) && !channel_open[old]
#endif
    :: ending[heir]
    fi;
    if
    :: ending[heir] -> goto out
    :: else
    fi;
    /* DaemonContext::Impl::claim: waits for the locks of a predecessor that has ended */
    if
    :: atomic { identity == 0 -> identity = heir }
    :: atomic { identity != 0 && (predecessor_lives || PLANTED == 6) -> goto fail }
    fi;
    atomic {
      become_service(heir);
#if PLANTED != 21
      is_claimed = true
#endif
    };
#if PLANTED != 10
    show_as_heir();
#endif
    if
    :: atomic { ready_lock = heir; was_marked_ready = true }
    :: atomic { refusals < REFUSALS ->
        refusals++;
        cannot_claim = true;
        excused = excused || !is_up(old);
        goto fail
      }
    fi;
#if PLANTED == 10
    show_as_heir();
#endif
    atomic {
      if
      :: predecessor_lives && channel_open[old] -> to_old ! claimed; is_left = true
      :: else
      fi
    };
    is_claimed = true;
    goto out;
fail:
    atomic { serves[heir] = false; is_claimed = false };
    channel_open[heir] = false; /* shutdown: the predecessor then ends this process, unless it ends first */
    !channel_open[old] || ending[heir];
#if PLANTED != 14
    has_given_up = true;
#endif
out:
    heir_waits = false
  } unless { heir_is_gone }
}

#if PLANTED == 15 /* the successor has opened the file anew */
#define is_excluded_by_others has_file[old]
#else
#define is_excluded_by_others is_excluded
#endif

/* ---- A third start. Once it serves, it lives until it is stopped. */
proctype Third() {
  byte file;
again:
  atomic {
    if
    :: path != 0 -> file = path
    :: else -> path = other_file; file = other_file
    fi
  };
  /* lock_exclusion */
  atomic {
    if
    :: file == 1 && is_excluded_by_others -> file = 0
    :: else -> has_file[third] = (file == 1)
    fi
  };
  if
  :: file == 0 -> /* wait_for_holder */
    if
    :: goto again
    :: goto out
    fi
  :: file != 0 && path != file -> has_file[third] = false; goto again
  :: else
  fi;
  atomic {
    lives[third] = true;
    assert(!is_up(old) && !is_up(heir)); /* no start gets in while a service, or its successor, is up */
    if
    :: file == 1 -> assert(identity == 0); identity = third
    :: else
    fi;
    become_service(third)
  };
  atomic { shown[third] = (file == 1); finished[third] = 0; requester[third] = 0 };
  if
  :: file == 1 -> ready_lock = third
  :: else
  fi;
end_third:
  stop_signal[third];
  serves[third] = false;
  if
  :: path == file -> path = 0
  :: else
  fi;
  atomic { end(third) };
out:
  file = 0
}

/* ---- The controllers. A pidfd names one process, and a successor is the `number`th. */
#define has_ended(process, number) (!lives[process] || (process == heir && heirs != number))

inline send_stop(process, number) {
  atomic {
    if
    :: has_ended(process, number)
    :: else ->
      excused = true;
      stop_signal[process] = true;
      if
      :: process == old -> stop_wake = true
      :: else
      fi
    fi
  }
}

/* Controller::stop */
proctype Stop() {
  byte target, number, before, holder, count;
  bool ready;
again:
  /* Target::find */
  atomic {
    number = heirs;
    target = identity;
    if
    :: path != 1 -> goto out
    :: path == 1 && target == 0 && !is_excluded -> assert(!is_up(old) && !is_up(heir)); goto out
    :: path == 1 && target == 0 && is_excluded ->
      if
      :: goto again
      :: goto out /* patience */
      fi
    :: path == 1 && target != 0
    fi
  };
  ready = (ready_lock != 0);
  before = (shown[target] -> finished[target] : none);
#if PLANTED != 7
  if
  :: before == none && (!ready || identity != target) -> before = 0
  :: else
  fi;
#endif
  send_stop(target, number);
  has_ended(target, number); /* await_end */
  if
  :: before == none || PLANTED == 12 -> goto done
  :: else
  fi;
look: /* has_successor */
#if PLANTED != 8
  ready = (ready_lock != 0);
#endif
  holder = identity;
  count = (holder != 0 && shown[holder] -> finished[holder] : none);
#if PLANTED == 8
  ready = (ready_lock != 0);
#endif
  if
  :: count != none && count > before -> goto again
  :: count != none && count <= before
  :: count == none && holder != 0 && !ready -> goto look
  :: count == none && holder != 0 && ready
  :: count == none && holder == 0 ->
    if
    :: is_excluded -> goto look
    :: else
    fi
  fi;
done:
  atomic {
    assert(!is_up(old) && !is_up(heir));
    stopped = true
  };
out:
  atomic { target = 0; number = 0; before = 0; holder = 0; count = 0; ready = false }
}

/* Controller::upgrade */
#define holder_has_outcome \
  (identity != 0 && shown[identity] && finished[identity] > before && !running[identity])
#if PLANTED == 17
#define third_has_it false
#else
#define third_has_it (identity == third && ready_lock == third)
#endif
#define is_done (holder_has_outcome && requester[identity] == rounds && !refused[identity])

proctype Request() {
  byte target, number, before, holder, rounds;
  bool was_shown, was_running, ended, ready, has_outcome, done;
  do
  :: rounds < REQUESTS ->
    rounds++;
again:
    atomic {
      number = heirs;
      target = identity;
      if
      :: path != 1 || (target == 0 && !is_excluded) || target == third -> goto out
      :: path == 1 && target == 0 && is_excluded ->
        if
        :: goto again
        :: goto out /* patience */
        fi
      :: else
      fi
    };
    was_shown = shown[target];
    if
    :: !was_shown -> /* it has just become ready, or gives the pidfile up */
      ready = (ready_lock != 0);
#if PLANTED == 22
      assert(!ready || has_ended(target, number));
#else
      was_shown = shown[target];
#endif
      if
      :: was_shown
      :: !was_shown && ready && identity == target ->
        assert(has_ended(target, number)) /* both can be upgraded */
      :: !was_shown && !(ready && identity == target) -> goto again
      fi
    :: else
    fi;
    atomic { was_shown = shown[target]; before = finished[target]; was_running = running[target] };
    if
    :: !was_shown -> goto again
    :: was_shown && was_running -> goto out
    :: else
    fi;
    atomic {
      if
      :: has_ended(target, number) && is_excluded -> goto again
      :: has_ended(target, number) && !is_excluded -> goto out
      :: else -> upgrade_signal[target] = rounds
      fi
    };
await:
    /* Waits for a change. */
    (holder_has_outcome && !is_done) || (is_done && (ready_lock == identity || PLANTED == 16)) ||
      (has_ended(target, number) && (!is_excluded || third_has_it));
    ended = has_ended(target, number);
    atomic { holder = identity; has_outcome = holder_has_outcome; done = is_done };
    if
    :: has_outcome && !done
    :: has_outcome && done -> /* is_ready */
      ready = (ready_lock != 0);
      if
#if PLANTED != 16
      :: ready && identity == holder -> assert(was_marked_ready)
      :: !(ready && identity == holder) -> goto await
#else
      :: assert(was_marked_ready)
#endif
      fi
    :: !has_outcome && ended ->
      if
      :: !is_excluded || (holder == third && third_has_it) -> assert(!is_up(old) && !is_up(heir))
      :: else -> goto await
      fi
    :: !has_outcome && !ended -> goto await
    fi
  :: else -> break
  od;
out:
  atomic {
    target = 0; number = 0; before = 0; holder = 0; rounds = 0;
    was_shown = false; was_running = false; ended = false; ready = false; has_outcome = false; done = false
  }
}

/* ---- The kernel ends who was killed: files are closed some time after the signal. */
proctype Kernel() {
end_kernel:
  do
  :: atomic { killed[old] && lives[old] -> end(old) }
  :: atomic { killed[heir] && lives[heir] -> end(heir) }
  od
}

/* Kills what it likes, and has a service end by itself. */
proctype Fate() {
  do
  :: atomic { kills < KILLS && is_up(old) ->
      kills++;
      excused = excused || !(heir_is_ready && is_up(heir) && !stop_signal[heir] && !cannot_claim);
      killed[old] = true;
      channel_open[old] = false
    }
  :: atomic { kills < KILLS && is_up(heir) ->
      kills++;
      excused = excused || !is_up(old);
      killed[heir] = true;
      channel_open[heir] = false
    }
  :: atomic { !ended_by_itself && is_up(old) -> ended_by_itself = true; excused = true }
  :: break
  od
}

/* When nothing can happen any more. */
proctype Last() {
  timeout;
  assert(serves[old] || serves[heir] || excused);
  assert(!lives[old] || serves[old]);
  assert(!lives[heir] || serves[heir]); /* none is left without the pidfile */
  assert(!serves[old] || (identity == old && ready_lock == old && shown[old]));
  assert(!serves[heir] || (identity == heir && ready_lock == heir && shown[heir]))
}

init {
  atomic {
    lives[old] = true;
    serves[old] = true;
    shown[old] = true;
    has_file[old] = true;
    run Old();
    run Upgrade();
#if STARTS
    run Third();
#endif
#if STOPS
    run Stop();
#endif
#if REQUESTS
    run Request();
#endif
#if OTHERS
    upgrade_signal[old] = none;
#endif
    run Kernel();
    run Fate();
    run Last()
  }
}
