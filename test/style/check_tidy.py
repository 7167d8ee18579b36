#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Runs clang-tidy over the library, one source per processor at a time.

Usage: check_tidy.py SOURCE_ROOT BUILD_ROOT
Exits with 77 (skipped) without clang-tidy.
"""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from tree import sources


def tidy(path):
    """clang-tidy's findings in one source and the headers it includes, or nothing."""
    command = ["clang-tidy", "--quiet", "-p", sys.argv[2], "--extra-arg=-Wno-unknown-warning-option", path]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    failed = done.stderr or f"{path}: clang-tidy failed\n"
    return done.stdout or (failed if done.returncode != 0 else "")


if shutil.which("clang-tidy") is None:
    print("no clang-tidy")
    sys.exit(77)
with ThreadPoolExecutor(os.cpu_count()) as pool:
    findings = list(pool.map(tidy, [path for path in sources("src") if path.suffix == ".cpp"]))
print("".join(findings), end="")
sys.exit(1 if any(findings) else 0)
