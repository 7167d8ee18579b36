#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Writes daemonctx_options(5) from the comments of DaemonOptions, so that the page can't be out of date.

Usage: make_options_page.py HEADER PAGE
"""

import re
import sys
import textwrap
from pathlib import Path

HEAD = """.\\" SPDX-License-Identifier: BSL-1.0
.\\" Made from include/daemonctx/daemon_options.hpp by make_options_page.py.
.Dd November 27, 2026
.Dt DAEMONCTX_OPTIONS 5
.Os
.Sh NAME
.Nm daemonctx_options
.Nd the options of a daemon
.Sh DESCRIPTION
The members of
.Vt daemonctx::DaemonOptions ,
for the constructor of
.Vt DaemonContext ;
see
.Xr daemonctx 3 .
Every member has a default.
A timeout of zero means
.Dq at once .
"""
TAIL = """.Sh SEE ALSO
.Xr daemonctx 3 ,
.Xr daemonctx 7
"""


def roff(text):
    """A paragraph: a sentence a line, and no line that begins with a request."""
    text = " ".join(text.replace("\\", "\\e").replace("`", "").split())
    sentences = re.sub(r"(?<=[a-z0-9)\"'])([.]) (?=[A-Z\"])", r"\1\n", text).split("\n")
    lines = [line for sentence in sentences for line in textwrap.wrap(sentence, 78)]
    return "".join(f"\\&{line}\n" if line[:1] in ".'" else f"{line}\n" for line in lines)


def body_of(header):
    return re.search(r"^struct DaemonOptions \{\n(.*?)^\};", header, re.DOTALL | re.MULTILINE).group(1)


def header_of(name, folder):
    """The header that describes a type."""
    for header in sorted(folder.glob("*.hpp")):
        if re.search(rf"^(struct|class|enum class) (DAEMONCTX_EXPORT )?{name}\b[^;]*\{{", header.read_text(), re.MULTILINE):
            return header.name
    sys.exit(f"no header describes {name}")


def blocks_of(body):
    """The comment, title of a group, or member of each piece of the structure."""
    for block in re.split(r"\n\s*\n", body):
        title = re.match(r"  // --- (.*)", block)
        if title:
            yield "title", [title.group(1)], ""
            continue
        comment = " ".join(line.strip()[3:].strip() for line in block.splitlines() if line.startswith("  ///"))
        code = "\n".join(line for line in block.splitlines() if not line.startswith("  ///"))
        members = re.findall(r"^  (\S.*?) (\w+)(?: = [^;]*)?;", code, re.MULTILINE)
        if members:
            yield members[0][0], [name for _, name in members], comment


def main():
    header, page = Path(sys.argv[1]), Path(sys.argv[2])
    text = HEAD + ".Ss Everyday options\n.Bl -tag -width Ds\n"
    for kind, names, comment in blocks_of(body_of(header.read_text())):
        if kind == "title":
            text += f".El\n.Ss {names[0]}\n.Bl -tag -width Ds\n"
            continue
        text += f".It {' , '.join(f'Va {name}' for name in names)}\n"
        text += roff(comment) if comment else f"See\n.In daemonctx/{header_of(kind, header.parent)} .\n"
    page.write_text(text + ".El\n" + TAIL)


main()
