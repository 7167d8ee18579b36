#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Runs cppcheck over the library.

Usage: check_cppcheck.py SOURCE_ROOT BUILD_ROOT
Exits with 77 (skipped) without cppcheck 2.10: others raise false alarms.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tree import ROOT, sources

if shutil.which("cppcheck") is None:
    print("no cppcheck")
    sys.exit(77)
version = subprocess.run(["cppcheck", "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout
if re.search(r" 2\.10\b", version) is None:
    print("not the cppcheck whose findings are known, 2.10:", version.strip())
    sys.exit(77)
# No "style": clang-tidy checks style, and knows the language better.
# readdirCalled: readdir(3) is safe if each thread has a stream of its own, and readdir_r is obsolete.
# passedByValue: cppcheck takes a parameter that is moved from for one that is copied.
command = ["cppcheck", "--enable=warning,performance,portability", "--std=c++20", "--library=posix",
           "--quiet", "--suppress=missingIncludeSystem", "--suppress=readdirCalled",
           "--suppress=passedByValue", "--error-exitcode=1"]
folders = [ROOT / "include", ROOT / "src", Path(sys.argv[2]) / "src"]
includes = [f"-I{folder}" for folder in folders]
sys.exit(subprocess.run([*command, *includes, *sources("include", "src")]).returncode)
