#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Runs cppcheck over the library.

Usage: check_cppcheck.py SOURCE_ROOT BUILD_ROOT
Exits with 77 (skipped) without cppcheck.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from tree import ROOT, sources

if shutil.which("cppcheck") is None:
    print("no cppcheck")
    sys.exit(77)
# Its remarks on style are left to clang-tidy, which knows the language better. readdir(3) is safe where each thread has a
# stream of its own, and readdir_r is obsolete. It takes a parameter that is moved from for one that is copied.
command = ["cppcheck", "--enable=warning,performance,portability", "--std=c++20", "--library=posix", "--quiet",
           "--suppress=missingIncludeSystem", "--suppress=readdirCalled", "--suppress=passedByValue", "--error-exitcode=1"]
folders = [ROOT / "include", ROOT / "src", Path(sys.argv[2]) / "src"]
sys.exit(subprocess.run([*command, *(f"-I{folder}" for folder in folders), *sources("include", "src")]).returncode)
