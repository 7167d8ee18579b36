#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Checks that the program in README.md is the example that is compiled, and that the links lead somewhere.

Usage: check_readme.py SOURCE_ROOT
"""

import re

from tree import ROOT, finish

readme = (ROOT / "README.md").read_text()
example = (ROOT / "doc/examples/first_daemon.cpp").read_text()
program = re.search(r"// tag::program\[\]\n(.*)// end::program\[\]", example, re.DOTALL).group(1)
faults = []
if f"```cpp\n{program}```" not in readme:
    faults.append((ROOT / "README.md", 1, "the program differs from doc/examples/first_daemon.cpp"))
for page in [ROOT / "README.md", *(ROOT / "doc").glob("*.md")]:
    for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        if not (page.parent / link).exists():
            faults.append((page, 1, f"nothing at {link}"))
finish(faults)
