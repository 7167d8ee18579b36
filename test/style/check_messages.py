#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Checks that doc/messages.md has every message that the library can print.

Usage: check_messages.py SOURCE_ROOT
A message is a string literal in `src/` with three words or more. What varies stands between two literals, and
is "..." on the page. Help texts, documents and the lines of `explain` are no messages.
"""

import re

from tree import ROOT, finish, sources

PAGE = ROOT / "doc/messages.md"
NO_MESSAGES = {"context/explain.cpp", "service/completion.cpp", "service/documents.cpp", "service/effects.cpp",
               "launch/launch_decision.cpp"}
NOISE = re.compile(r"//[^\n]*|#include[^\n]*|static_assert\([^;]*;|add_options\(\)\([^;]*;|"
                   r"\{\"[^{}]*&ServiceRun::[^{}]*\}")
LITERAL = re.compile(r'"(?:\\.|[^"\\\n])*"(?:\s*"(?:\\.|[^"\\\n])*")*')
PART = re.compile(r'"((?:\\.|[^"\\\n])*)"')
NO_TEXT = ("/", "_Z", "\\x", "' + ", "read readv ", "Settings, ", "stop the daemon if it runs, then")
MAN_PAGE = {"The configuration file.", "Read the configuration again.", "Open the log files again.",
            "An action of the program."}


def words_of(text):
    return " ".join(text.replace('\\"', '"').replace("\\n", " ").replace("\\\\", "\\").split())


def messages_in(path):
    text = NOISE.sub("", path.read_text())
    for found in LITERAL.finditer(text):
        message = words_of("".join(PART.findall(found.group())))
        if message.startswith(NO_TEXT):
            continue
        if len(re.findall(r"[A-Za-z'_-]{2,}|\ba\b", message)) >= 3:
            yield text.count("\n", 0, found.start()) + 1, message


def main():
    page = words_of(PAGE.read_text())
    findings = []
    for path in sources("src"):
        if str(path.relative_to(ROOT / "src")) in NO_MESSAGES:
            continue
        for line, message in messages_in(path):
            if message not in page and message not in MAN_PAGE:
                findings.append((path, line, f"doc/messages.md lacks: {message}"))
    finish(findings)


main()
