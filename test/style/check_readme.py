#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Checks that the programs in the pages are the examples that are compiled, and that each link has a target.

Usage: check_readme.py SOURCE_ROOT
"""

import re
import textwrap

from tree import ROOT, finish

CODE = re.compile(r"```.*?```", re.DOTALL)
TAGGED = re.compile(r" *// tag::program\[\]\n(.*?) *// end::program\[\]", re.DOTALL)
PROGRAMS = {"README.md": ["first_daemon"], "doc/service.md": ["heartbeat"],
            "doc/recipes.md": ["database", "thread_pool", "blocking", "spdlog", "drain", "large_heap"]}

faults = []
for page, names in PROGRAMS.items():
    for name in names:
        example = (ROOT / f"doc/examples/{name}.cpp").read_text()
        program = textwrap.dedent(TAGGED.search(example).group(1))
        if f"```cpp\n{program}```" not in (ROOT / page).read_text():
            faults.append((ROOT / page, 1, f"the program differs from doc/examples/{name}.cpp"))
for page in [ROOT / "README.md", *(ROOT / "doc").glob("*.md")]:
    for link in re.findall(r"\]\(([^)#:]+)\)", CODE.sub("", page.read_text())):
        if not (page.parent / link).exists():
            faults.append((page, 1, f"the link leads to {link}, which does not exist"))
finish(faults)
