#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Checks that clang-format would change nothing.

Usage: check_format.py SOURCE_ROOT
Exits with 77 (skipped) without clang-format.
"""

import shutil
import subprocess
import sys

from tree import sources

if shutil.which("clang-format") is None:
    print("no clang-format")
    sys.exit(77)
paths = sources("include", "src", "test", "doc")
sys.exit(subprocess.run(["clang-format", "--dry-run", "-Werror", *paths]).returncode)
