#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Checks the manual pages with mandoc. Exits with 77 (skipped) without it.

Usage: check_man.py PAGE...
The pages refer to one another, and mandoc looks only for those that are installed.
"""

import shutil
import subprocess
import sys

if shutil.which("mandoc") is None:
    print("mandoc is not installed")
    sys.exit(77)
lint = subprocess.run(["mandoc", "-T", "lint", *sys.argv[1:]], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                      text=True, check=False)
findings = [line for line in lint.stdout.splitlines() if "referenced manual not found" not in line]
print("\n".join(findings))
sys.exit(1 if findings else 0)
