#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Runs clang-tidy over the library, one source per processor at a time.

Usage: check_tidy.py SOURCE_ROOT BUILD_ROOT
Exits with 77 (skipped) without clang-tidy.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

BUILD = Path(sys.argv[2])


def tidy(source, database):
    """clang-tidy's findings in one source and the headers it includes, or nothing."""
    command = ["clang-tidy", "--quiet", "-p", database, "--extra-arg=-Wno-unknown-warning-option", source]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    failed = done.stderr or f"{source}: clang-tidy failed\n"
    return done.stdout or (failed if done.returncode != 0 else "")


def main():
    # The library alone: the tests compile its sources once more, with mocked system calls.
    entries = [entry for entry in json.loads((BUILD / "compile_commands.json").read_text())
               if entry["output"].startswith("src/")]
    with tempfile.TemporaryDirectory() as database, ThreadPoolExecutor(os.cpu_count()) as pool:
        (Path(database) / "compile_commands.json").write_text(json.dumps(entries))
        sources = [str(BUILD / entry["file"]) for entry in entries]
        findings = list(pool.map(lambda source: tidy(source, database), sources))
    print("".join(findings), end="")
    sys.exit(1 if any(findings) or not entries else 0)


if shutil.which("clang-tidy") is None:
    print("no clang-tidy")
    sys.exit(77)
main()
