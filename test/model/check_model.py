#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Searches the protocols of pidfile, worker and upgrade for a broken promise, in every order of steps (spin).

Usage: check_model.py

Each model has planted faults, and each must be found. With DAEMONCTX_ROUNDS of 200 or more the bounds are
larger: some minutes, and three gigabytes. Exits with 77 (skipped) without spin or a C compiler.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# Each model: the bounds of the searches, and those under which its planted faults are found, up to a number.
MODELS = {
    "pidfile.pml": {
        "planted": {11: {"STARTS": 2, "KILLS": 1}},
        "small": [{"STARTS": 2, "KILLS": 0}],
        "large": [{"STARTS": 2, "KILLS": 1}, {"STARTS": 3, "KILLS": 1, "OTHERS": 0}],
    },
    "worker.pml": {
        "planted": {10: {"KILLS": 1, "RESTARTS": 1}},
        "small": [{"KILLS": 1, "RESTARTS": 1}],
        "large": [{"KILLS": 2, "RESTARTS": 2}],
    },
    "upgrade.pml": {
        "planted": {
            12: {"STARTS": 0, "REQUESTS": 0, "OTHERS": 1, "REFUSALS": 0},
            19: {"STOPS": 0},
            21: {"STOPS": 0, "STARTS": 0, "REQUESTS": 2, "KILLS": 0},
            22: {"STOPS": 0, "STARTS": 0, "OTHERS": 1, "KILLS": 0, "REFUSALS": 0},
        },
        "small": [
            {"STARTS": 0, "REQUESTS": 0, "OTHERS": 1, "REFUSALS": 0},
            {"STOPS": 0},
            {"STOPS": 0, "STARTS": 0, "REQUESTS": 2, "KILLS": 0},
            {"STOPS": 0, "STARTS": 0, "OTHERS": 1, "KILLS": 0, "REFUSALS": 0},
        ],
        "large": [
            {"REQUESTS": 0, "OTHERS": 1},
            {"STARTS": 0},
            {"STOPS": 0, "REQUESTS": 2, "REFUSALS": 0},
            {"STOPS": 0, "STARTS": 0, "OTHERS": 1},
        ],
    },
}
COMPILER = shutil.which("gcc") or shutil.which("clang")


def defines(bounds):
    return [f"-D{name}={value}" for name, value in bounds.items()]


def search(model, directory, bounds, optimization="-O1", table="-w25"):
    """Returns what the verifier printed, the number of errors, and that of states."""
    subprocess.run(["spin", "-a", *defines(bounds), model], cwd=directory, check=True)
    subprocess.run([COMPILER, optimization, "-w", "-DSAFETY", "-DHC4", "-o", "pan", "pan.c"], cwd=directory,
                   check=True)
    printed = subprocess.run(["./pan", "-m400000", table], cwd=directory, check=True, stdout=subprocess.PIPE,
                             text=True).stdout
    errors = re.search(r"errors: (\d+)", printed)
    states = re.search(r"(\S+) states, stored", printed)
    if not errors or not states or (errors[1] == "0" and "Search not completed" in printed):
        sys.exit(f"the search was not completed:\n{printed}")
    return printed, int(errors[1]), states[1]


def planted_faults_not_noticed(name, planted, directory):
    """Returns a text for each. Most are found soon, so the compiler does not optimize."""
    texts = []
    model = Path(__file__).with_name(name)
    first = 1
    for last, bounds in planted.items():
        for fault in range(first, last + 1):
            if search(model, directory, {**bounds, "PLANTED": fault}, "-O0", "-w22")[1] == 0:
                texts.append(f"{name}: the planted fault {fault} is not noticed")
        first = last + 1
    print(f"{name}: {last} planted faults", flush=True)
    return texts


def check(name, plan, is_exhaustive, directory):
    """Returns a text for each fault."""
    model = Path(__file__).with_name(name)
    faults = []
    for bounds in plan["small"] + plan["large"] * is_exhaustive:
        printed, errors, states = search(model, directory, bounds)
        print(f"{name}, {bounds}: {states} states", flush=True)
        if errors:
            way = subprocess.run(["spin", "-t", "-p", *defines(bounds), "-k", f"{name}.trail", model], cwd=directory, check=True,
                                 stdout=subprocess.PIPE, text=True).stdout
            faults.append(f"{name}: a promise is broken with {bounds}:\n{printed}\n{way}")
    faults += planted_faults_not_noticed(name, plan["planted"], directory)
    return faults


def main():
    if shutil.which("spin") is None or COMPILER is None:
        print("skipped: needs spin and a C compiler")
        sys.exit(77)
    is_exhaustive = int(os.environ.get("DAEMONCTX_ROUNDS") or 0) >= 200
    faults = []
    with tempfile.TemporaryDirectory() as directory:
        for name, plan in MODELS.items():
            faults += check(name, plan, is_exhaustive, directory)
    if faults:
        sys.exit("\n".join(faults))


main()
