#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Counts what the smallest daemon costs, and compares each count with costs.json.

Usage: check_costs.py STATIC_PROGRAM SHARED_PROGRAM LIBRARY REFERENCE [--update]

STATIC_PROGRAM has the C++ runtime and the library inside, SHARED_PROGRAM uses LIBRARY. REFERENCE is the least
that plain C can do: system calls and page faults are counted beyond its own, since kernels differ. A count
that has changed by more than its tolerance is a fault, also if it has fallen: then costs.json is to follow,
which --update does. Times are no counts: see test/benchmark. Exits with 77 (skipped) where the numbers do not
hold: another processor or compiler, or no strace.
"""

import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NUMBERS = Path(__file__).with_name("costs.json")
PATIENCE = 60  # seconds
ENVIRONMENT = {"PATH": os.environ.get("PATH", "/usr/bin:/bin")}  # Meson's own variables cost system calls
WAIT = "ppoll|rt_sigsuspend"  # what a daemon does when it is ready
PERCENT = 3
FAULTS = "page faults of the start"
# Faults depend on where the kernel places the program, and on how much of a file it maps at once.
AT_LEAST = {FAULTS: 10, "system calls of the start": 5}


def output_of(*command):
    command = [str(part) for part in command]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def section_sizes(program):
    return {line.split()[0]: int(line.split()[1]) for line in output_of("size", "-A", program).splitlines()
            if re.match(r"\.\S+ +\d", line)}


def size_costs(program):
    sizes = section_sizes(program)
    return {
        "bytes of code": sizes[".text"],
        "bytes of constants": sizes[".rodata"],
        "relocations": len(re.findall(r"R_X86_64_\w+", output_of("readelf", "-rW", program))),
        "static initialisers": sizes[".init_array"] // 8,
        "shared libraries": output_of("readelf", "-dW", program).count("(NEEDED)"),
    }


def wait_until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"{what} has not come")
        time.sleep(0.01)


def pid_in(pidfile):
    try:
        return int(pidfile.read_text())
    except (OSError, ValueError):
        return None


class Daemon:
    """Runs a command that starts the daemon, and ends the daemon at the end of the scope."""

    def __init__(self, pidfile, *command):
        self.pidfile = pidfile
        self.child = subprocess.Popen([*map(str, command), str(pidfile)], stdin=subprocess.DEVNULL,
                                      env=ENVIRONMENT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if (pid := pid_in(self.pidfile)) is not None:
            os.kill(pid, signal.SIGTERM)
            wait_until(lambda: not self.pidfile.exists(), "the daemon's end")
        self.child.wait()


def count_system_calls(program, work):
    """Of all three processes: until the daemon waits for signals, and from there to its end."""
    trace = work / "trace"
    with Daemon(work / "traced.pid", "strace", "-f", "-o", trace, program) as daemon:
        def is_waiting():
            pid = pid_in(daemon.pidfile)
            text = trace.read_text() if trace.exists() else ""
            waits = re.search(rf"^{pid} +({WAIT})\(", text, re.MULTILINE)
            return pid is not None and "exited with 0" in text and waits

        wait_until(is_waiting, "the daemon's readiness")
        pid = pid_in(daemon.pidfile)
    calls = re.findall(r"^(\d+) +(\w+)\(", trace.read_text(), re.MULTILINE)
    # A wait is repeated when a child's end interrupts it, or not, as it happens.
    of_daemon = [name for each, name in calls if int(each) == pid]
    ready = next(i for i, name in enumerate(of_daemon) if re.fullmatch(WAIT, name))
    others = sum(int(each) != pid and name not in ("ppoll", "waitid", "wait4") for each, name in calls)
    return {"system calls of the start": others + ready, "system calls of the stop": len(of_daemon) - ready}


def count_faults(program, work):
    """Of the caller and of the daemon, until it is ready. The fewest of several, which nothing disturbed."""
    counts = []
    for i in range(7):
        with Daemon(work / f"{i}.pid", program) as daemon:
            _, status, usage = os.wait4(daemon.child.pid, 0)
            daemon.child.returncode = status
            if status != 0:
                sys.exit("the daemon did not start")
            stat = Path(f"/proc/{pid_in(daemon.pidfile)}/stat").read_text()
            counts.append(usage.ru_minflt + int(stat.rpartition(")")[2].split()[7]))
    return {FAULTS: min(counts)}


def run_costs(program, work):
    work.mkdir()
    return {**count_system_calls(program, work), **count_faults(program, work)}


def check(name, cost, before, now):
    tolerance = max(before * PERCENT / 100, AT_LEAST.get(cost, 0))
    is_higher = now - before > tolerance
    is_fault = is_higher or (before - now > tolerance and cost != FAULTS)  # fewer faults may be the kernel's
    print(f"{name}, {cost}: {now}, before {before}{', which is too different' if is_fault else ''}")
    return is_fault


def compiler_of(program):
    # The start files of every program are g++'s.
    comment = output_of("readelf", "-p", ".comment", program)
    version = re.search(r"GCC: \(.*?\) (\d+)", comment)
    return "another" if "clang" in comment or version is None else f"g++ {version[1]}"


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(77)


def main():
    programs = {"static": Path(sys.argv[1]), "shared": Path(sys.argv[2])}
    known = json.loads(NUMBERS.read_text())
    here = [platform.machine(), compiler_of(programs["static"])]
    trial = ["strace", "-qo", "/dev/null", "true"]
    if shutil.which("strace") is None or subprocess.run(trial, check=False).returncode != 0:
        skip("there is no strace, or it may not trace")
    if here != known["for"] and "--update" not in sys.argv:
        skip(f"the numbers are for {known['for']}, and this is {here}")
    with tempfile.TemporaryDirectory(prefix="daemonctx-costs-") as directory:
        reference = run_costs(Path(sys.argv[4]), Path(directory) / "reference")
        found = {}
        for name, program in programs.items():
            costs = run_costs(program, Path(directory) / name)
            found[name] = {**size_costs(program), **{each: costs[each] - reference[each] for each in costs}}
    found["library"] = size_costs(sys.argv[3])
    if "--update" in sys.argv:
        NUMBERS.write_text(json.dumps({"for": here, **found}, indent=2) + "\n")
        return
    faults = [check(name, cost, known[name][cost], now)
              for name, costs in found.items() for cost, now in costs.items()]
    if any(faults):
        sys.exit(f"{sum(faults)} costs have changed. If they should, run: {' '.join(sys.argv)} --update")


main()
