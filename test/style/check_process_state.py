#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Checks that only src/process/ has variables that are one per process and can change.

Usage: check_process_state.py SOURCE_ROOT BUILD_ROOT
The library of any other floor must have no variable in writable memory, .data or .bss. Constants with
relocations (.data.rel.ro) and thread-local variables are allowed.
"""

import re
import subprocess
import sys
from pathlib import Path

STATE_FLOOR = "process"
LIBRARY = re.compile(r"libdaemonctx_(\w+)\.a")

# A line of objdump -tC: value, seven flags, section, size, and perhaps a visibility before the name.
SYMBOL = re.compile(r"[0-9a-f]+ .{6}(?P<kind>.) (?P<section>\S+)\t[0-9a-f]+ "
                    r"(?:\.(?:hidden|internal|protected) )?(?P<name>.+)")
WRITABLE = re.compile(r"\.(data|bss)(?!\.rel\.ro)(\.|$)|\*COM\*$")
MEMBER = re.compile(r"(\S+):\s+file format ")

# Symbols that the headers of the standard library and Boost bring along, of exceptions and of a sanitizer.
FOREIGN = re.compile(r"(guard variable for )?(std|boost)::|DW\.ref\.|__odr_asan|_*\.?L(asan|ubsan)|"
                     r"__[atu]b?san", re.IGNORECASE)


def writable_symbols(listing):
    """Object file and name of each variable in writable memory."""
    member = ""
    for line in listing.splitlines():
        if found := MEMBER.match(line):
            member = Path(found[1]).name
        symbol = SYMBOL.match(line)
        if symbol is None or symbol["kind"] != "O" and symbol["section"] != "*COM*":
            continue
        if WRITABLE.match(symbol["section"]) and not FOREIGN.match(symbol["name"]):
            yield member, symbol["name"]


def check(library):
    command = ["objdump", "-tC", str(library)]
    listing = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    if not MEMBER.search(listing):
        sys.exit(f"{library}: no object files")
    return [f"{library.name}: {member}: {name}" for member, name in writable_symbols(listing)]


def main():
    source = Path(sys.argv[2]) / "src"
    libraries = sorted(path for path in source.glob("*.a") if LIBRARY.fullmatch(path.name))
    if not libraries:
        sys.exit("there is no library of any floor")
    findings = [finding for library in libraries if LIBRARY.fullmatch(library.name)[1] != STATE_FLOOR
                for finding in check(library)]
    for finding in findings:
        print(f"{finding}: process-wide state belongs in src/{STATE_FLOOR}/")
    sys.exit(1 if findings else 0)


main()
