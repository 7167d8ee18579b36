#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Checks that the programs in the pages are the examples that are compiled, and that each link has a target.

Usage: check_readme.py SOURCE_ROOT
"""

import re

from tree import ROOT, finish

CODE = re.compile(r"```.*?```", re.DOTALL)
faults = []
for page, name in [("README.md", "first_daemon.cpp"), ("doc/service.md", "heartbeat.cpp")]:
    example = (ROOT / "doc/examples" / name).read_text()
    program = re.search(r"// tag::program\[\]\n(.*)// end::program\[\]", example, re.DOTALL).group(1)
    if f"```cpp\n{program}```" not in (ROOT / page).read_text():
        faults.append((ROOT / page, 1, f"the program differs from doc/examples/{name}"))
for page in [ROOT / "README.md", *(ROOT / "doc").glob("*.md")]:
    for link in re.findall(r"\]\(([^)#:]+)\)", CODE.sub("", page.read_text())):
        if not (page.parent / link).exists():
            faults.append((page, 1, f"the link leads to {link}, which does not exist"))
finish(faults)
