# SPDX-License-Identifier: BSL-1.0
"""The parts that all style checks share: the list of the files, and the report of findings."""

import os
import sys
from pathlib import Path

ROOT = Path(sys.argv[1]).resolve()
SKIPPED = {"subprojects", "__pycache__"}


def files(*folders):
    """The files in these folders (or in all), without hidden, built or fetched ones."""
    for top in [ROOT / folder for folder in folders] or [ROOT]:
        for directory, names, found in os.walk(top):
            names[:] = sorted(n for n in names if n not in SKIPPED and not n.startswith((".git", "build")))
            yield from (Path(directory) / name for name in sorted(found))


def sources(*folders):
    return [path for path in files(*folders) if path.suffix in {".hpp", ".cpp"}]


def finish(findings):
    """Prints one line for each finding. Exits with 1 if there is any, otherwise with 0."""
    for path, line, text in findings:
        print(f"{path.relative_to(ROOT)}:{line}: {text}")
    sys.exit(1 if findings else 0)
