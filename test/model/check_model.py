#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Searches the protocol of the pidfile for a broken promise, in every order of steps (spin).

Usage: check_model.py

A model has eleven planted faults; each must be found. With DAEMONCTX_ROUNDS of 200 or more the bounds are
larger: minutes, and three gigabytes. Exits with 77 (skipped) without spin or a C compiler.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

MODEL = Path(__file__).with_name("pidfile.pml")
PLANTED = 11
SMALL = [{"STARTS": 2, "KILLS": 0}]
LARGE = [{"STARTS": 2, "KILLS": 1}, {"STARTS": 3, "KILLS": 1, "OTHERS": 0}]
COMPILER = shutil.which("gcc") or shutil.which("clang")


def search(directory, **bounds):
    """Returns what the verifier printed, the number of errors, and that of states."""
    defines = [f"-D{name}={value}" for name, value in bounds.items()]
    subprocess.run(["spin", "-a", *defines, MODEL], cwd=directory, check=True)
    subprocess.run([COMPILER, "-O1", "-w", "-DSAFETY", "-DHC4", "-o", "pan", "pan.c"], cwd=directory, check=True)
    found = subprocess.run(["./pan", "-m400000", "-w25"], cwd=directory, check=True, stdout=subprocess.PIPE, text=True)
    errors = re.search(r"errors: (\d+)", found.stdout)
    states = re.search(r"(\d+)(?:e\+\d+)? states, stored", found.stdout)
    if not errors or not states or "Search not completed" in found.stdout and errors[1] == "0":
        sys.exit(f"the search was not completed:\n{found.stdout}")
    return found.stdout, int(errors[1]), states[0]


def main():
    if shutil.which("spin") is None or COMPILER is None:
        print("skipped: needs spin and a C compiler")
        sys.exit(77)
    is_exhaustive = int(os.environ.get("DAEMONCTX_ROUNDS") or 0) >= 200
    faults = []
    with tempfile.TemporaryDirectory() as directory:
        for bounds in SMALL + LARGE * is_exhaustive:
            printed, errors, states = search(directory, **bounds)
            print(bounds, states)
            if errors:
                trail = subprocess.run(["spin", "-t", "-p", *(f"-D{n}={v}" for n, v in bounds.items()), MODEL],
                                       cwd=directory, stdout=subprocess.PIPE, text=True)
                faults.append(f"a promise is broken with {bounds}:\n{printed}\n{trail.stdout}")
        for fault in range(1, PLANTED + 1):
            if search(directory, STARTS=2, KILLS=1, PLANTED=fault)[1] == 0:
                faults.append(f"the planted fault {fault} is not noticed")
    print(f"{PLANTED} planted faults")
    if faults:
        sys.exit("\n".join(faults))


main()
