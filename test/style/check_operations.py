#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Checks that each row of the tables in doc/operations.md names tests, and that the tests exist.

Usage: check_operations.py SOURCE_ROOT
"""

import re

from tree import ROOT, finish

PAGE = ROOT / "doc/operations.md"
CASE = re.compile(r"_TEST_CASE\(\s*(\w+)")


def cases_of(unit):
    """The test cases of a unit; None if there is no such unit."""
    files = list((ROOT / "test").glob(f"*/{unit}.cpp"))
    return set(CASE.findall(files[0].read_text())) if files else None


def problem_with(named):
    """What is wrong with one "`unit`: `case`, `case`", or None."""
    unit, *cases = re.findall(r"`(\w+)`", named)
    known = cases_of(unit)
    if known is None:
        return f"there is no test/*/{unit}.cpp"
    missing = [case for case in cases if case not in known]
    if not cases:
        return f"{unit}: no test case is named"
    return f"{unit} has no test case {missing[0]}" if missing else None


faults = []
for number, line in enumerate(PAGE.read_text().splitlines(), 1):
    cells = [cell.strip() for cell in line.strip("|").split(" | ")]
    if not line.startswith("| ") or cells[0] in ("when", "---"):
        continue
    if len(cells) != 3 or "`" not in cells[2]:
        faults.append((PAGE, number, "the row names no test"))
        continue
    faults += [(PAGE, number, problem) for problem in map(problem_with, cells[2].split("; ")) if problem]
finish(faults)
