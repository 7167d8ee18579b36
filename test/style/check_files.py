#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Checks that files, functions and lines stay small, and that every file names its licence.

Usage: check_files.py SOURCE_ROOT
The lines of a function are those of its body that hold more than a comment or a brace.
"""

import re

from tree import ROOT, files, finish, sources

HEADER_LINES = 160
SOURCE_LINES = 350
FUNCTION_LINES = 40
LINE_COLUMNS = 110
# Streams follow the program's locale, so base/number.hpp reads and writes what machines read. The files of
# WITH_STREAMS print texts, read files line by line, or pass Boost.Program_options a stream.
STREAM = re.compile(r"#include <(sstream|iostream|fstream|iomanip|ostream|istream)>|lexical_cast|put_time")
WITH_STREAMS = {"posix/flush_streams.cpp", "service/completion.cpp", "service/configuration.cpp",
                "service/documents.cpp", "service/run.cpp", "service/settings.cpp", "service/waiting_display.cpp"}
LICENCE = "SPDX-License-Identifier: BSL-1.0"

# Braces in these are not those of code.
NOISE = re.compile(r"""
    //[^\n]* | /\*.*?\*/ |                                   # comments
    R"(\w*)\(.*?\)\1" | "(?:\\.|[^"\\\n])*" |               # strings
    (?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+' |                   # characters, but no 10'000
    ^[ \t]*\#(?:\\\n|[^\n])*                                # preprocessor lines
    """, re.DOTALL | re.MULTILINE | re.VERBOSE)
# Opens a scope that holds functions and is itself no function.
SCOPE = re.compile(r"(^|[\s;}])(namespace|class|struct|union|enum|extern)\b"
                   r"(?!.*\)\s*(const|noexcept|override)*\s*$)", re.DOTALL)


def without_noise(text):
    """The code alone, with as many lines as before."""
    def keep(match):
        word = "0" if match[0].startswith(('"', "'", "R")) else ""
        return word + "\n" * match[0].count("\n")

    return NOISE.sub(keep, text)


def functions(text):
    """For each outermost function: the offset of its opening brace, and its body."""
    depth, outer, start, head = 0, None, 0, 0
    after_function = False
    for brace in re.finditer(r"[{};]", text):
        introduction = text[head:brace.start()]
        head = brace.end()
        if brace[0] == "{":
            # After a member initializer in braces: the next one, or the body.
            continued = after_function and introduction.lstrip()[:1] in {"", ","}
            if outer is None and (continued or is_function(introduction)):
                outer, start = depth, brace.start()
            depth += 1
        elif brace[0] == "}":
            depth -= 1
            after_function = outer == depth
            if after_function:
                outer = None
                yield start, text[start + 1:brace.start()]


def is_function(introduction):
    return ")" in introduction and not introduction.rstrip().endswith("=") and not SCOPE.search(introduction)


def size_of(body):
    return sum(1 for line in body.splitlines() if line.strip(" \t{}();,"))


def check_length(path):
    limit = HEADER_LINES if path.is_relative_to(ROOT / "include") else SOURCE_LINES
    lines = path.read_text().count("\n")
    if lines > limit:
        yield path, limit + 1, f"{lines} lines, more than {limit}"


def check_streams(path):
    if not path.is_relative_to(ROOT / "src") or str(path.relative_to(ROOT / "src")) in WITH_STREAMS:
        return
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if STREAM.search(line):
            yield path, number, "uses a stream: base/number.hpp follows no locale"


def check_lines(path):
    """Checks all lines, comments too, except Markdown's tables and code, which cannot be broken."""
    in_code = False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        in_code ^= line.startswith("```")
        cannot_break = path.suffix == ".md" and (in_code or line.startswith("|"))
        if len(line) > LINE_COLUMNS and not cannot_break:
            yield path, number, f"{len(line)} columns, more than {LINE_COLUMNS}"


def check_functions(path):
    code = without_noise(path.read_text())
    for start, body in functions(code):
        size = size_of(body)
        if size > FUNCTION_LINES:
            line = code.count("\n", 0, start) + 1
            yield path, line, f"a function of {size} lines, more than {FUNCTION_LINES}"


def needs_licence(path, head):
    named = path.name in {"meson.build", "meson_options.txt", "CMakeLists.txt", ".clang-tidy"}
    suffixed = path.suffix in {".hpp", ".cpp", ".h", ".c", ".py", ".sh", ".in", ".map"}
    return named or suffixed or head.startswith("#!")


def check_licence(path):
    head = path.read_bytes()[:300].decode(errors="replace")
    if not needs_licence(path, head):
        return
    first = head.splitlines()[1 if head.startswith("#!") else 0:][:1]
    if not first or LICENCE not in first[0]:
        yield path, 1, f"the first line must name the licence: {LICENCE}"


def main():
    findings = [finding for path in sources("include", "src") for finding in check_length(path)]
    findings += [finding for path in sources("include", "src", "test", "doc")
                 for finding in check_functions(path)]
    findings += [finding for path in files() if path.suffix in {".hpp", ".cpp", ".c", ".h", ".md"}
                 for finding in check_lines(path)]
    findings += [finding for path in sources("src") for finding in check_streams(path)]
    findings += [finding for path in files() for finding in check_licence(path)]
    finish(findings)


main()
