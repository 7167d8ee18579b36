#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Checks that clang-format would change nothing.

Usage: check_format.py SOURCE_ROOT
Exits with 77 (skipped) without clang-format 14: others set braces differently.
"""

import re
import shutil
import subprocess
import sys

from tree import sources

if shutil.which("clang-format") is None:
    print("no clang-format")
    sys.exit(77)
version = subprocess.run(["clang-format", "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout
if re.search(r"version 14\.", version) is None:
    print("not the clang-format that this code is formatted by, 14:", version.strip())
    sys.exit(77)
paths = sources("include", "src", "test", "doc")
sys.exit(subprocess.run(["clang-format", "--dry-run", "-Werror", *paths]).returncode)
