#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""python-daemon, with the arguments of the other programs (service.h); only report and heap count."""

import mmap
import signal
import sys
import time

import daemon
import daemon.pidfile

LONGEST_LIFE = 300

OPTIONS = dict(argument.split("=", 1) for argument in sys.argv[2:])


def report_time():
    if "report" in OPTIONS:
        with open(OPTIONS["report"], "a", encoding="ascii") as report:
            report.write(f"{time.monotonic_ns()}\n")


def touch(size):
    heap = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    heap.madvise(mmap.MADV_NOHUGEPAGE)
    for at in range(0, size, 4096):
        heap[at] = 1
    return heap


def main():
    heap = touch(int(OPTIONS["heap"])) if "heap" in OPTIONS else None
    report_time()
    pidfile = daemon.pidfile.TimeoutPIDLockFile(sys.argv[1], acquire_timeout=-1)
    with daemon.DaemonContext(pidfile=pidfile, detach_process=True):
        report_time()
        signal.alarm(LONGEST_LIFE)
        while True:
            signal.pause()
    del heap


main()
