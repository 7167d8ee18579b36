#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Checks that forked_members_probe has a row for every public member and free function of the library.

Usage: check_members.py NM LIBRARY PROBE INCLUDE_DIRECTORY
Exported functions are compared with their parameters, as `nm -DC` prints them. Inline members are found in
the headers, and compared without parameters: overloads share a row. EXEMPT and EXEMPT_INLINE name each
function without a row, with the reason.
"""

import pathlib
import re
import subprocess
import sys

A_START = "starts a daemon: test/context/test_lifetime.cpp tests a forked child with a daemon of its own"
A_VALUE = "a value: knows of no process"
A_COMMAND_LINE = "belongs to the command line of a program, which has no daemon yet"

# A name as `nm -DC` prints it, or the beginning of one that ends in "*".
EXEMPT = {
    "daemonctx::DaemonContext::DaemonContext(daemonctx::DaemonOptions)": A_START,
    "daemonctx::run(daemonctx::DaemonOptions, std::function<int (daemonctx::DaemonContext&)> const&)":
        A_START,
    "daemonctx::Cleanup::finish(bool) const": "private: release() and run_now() call it",
    "daemonctx::DaemonContext::wait_until_since_epoch(daemonctx::Timeout)": "private: wait_until() calls it",
    "daemonctx::Path::*": A_VALUE,
    "daemonctx::operator/(daemonctx::Path const&, daemonctx::Path const&)": A_VALUE,
    "daemonctx::Environment::*": A_VALUE,
    "daemonctx::detail::*": "not public: inline members call it, and those have rows",
}
EXEMPT_INLINE = {
    "daemonctx::Timeout::Timeout": "constexpr: knows of no process",
    **{f"daemonctx::{name}": A_VALUE for name in (
        "Path::Path", "Path::c_str", "Path::empty", "Path::is_absolute", "Path::native",
        "Environment::variables", "SignalAction::SignalAction", "SignalAction::action",
        "SignalAction::function")},
    **{f"daemonctx::AsioAcceptor::{name}": "an acceptor of Asio: the copy in a child that runs the loop works, too"
       for name in ("AsioAcceptor", "~AsioAcceptor", "close")},
    "daemonctx::become_daemon": A_START,
    "daemonctx::Service::options": A_COMMAND_LINE,
    "daemonctx::Service::version": A_COMMAND_LINE,
    **{f"daemonctx::Service::{name}": A_COMMAND_LINE for name in (
        "description", "on_configure", "on_options", "stop_policy")},
}

NOISE = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|^[ \t]*#(?:\\\n|[^\n])*',
                   re.DOTALL | re.MULTILINE)
SCOPE = re.compile(r"\b(namespace|class|struct|enum(?:\s+class)?)\s+(?:\[\[[^\]]*\]\]\s*)?"
                   r"(?:DAEMONCTX_EXPORT\s+)?([\w:]+)(?:\s+final)?\s*(?::(?!:)[^{;]*)?$", re.DOTALL)
ACCESS = re.compile(r"\b(public|private|protected)\s*:(?!:)")
FUNCTION = re.compile(r"(~?\w+|operator\W+)\s*\(")


def output_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def exported_functions(nm, library):
    """The functions of the namespace, as nm prints them: strong and weak ones. Each constructor or destructor
    is there once."""
    listing = output_of(nm, "-DC", "--defined-only", library)
    found = {"T": set(), "W": set()}
    for line in listing.splitlines():
        _, kind, name = line.split(" ", 2)
        if kind in found and name.startswith("daemonctx::"):
            found[kind].add(name)
    return found["T"], found["W"]


class Reader:
    """Reads the scopes of one header, and notes the public functions that have a body."""

    def __init__(self):
        self.scopes = []   # (kind, name, access)
        self.found = set()

    def name(self):
        return "::".join(scope[1] for scope in self.scopes)

    def is_public(self):
        return all(access == "public" for _, _, access in self.scopes)

    def note_access(self, introduction):
        for access in ACCESS.finditer(introduction):
            kind, name, _ = self.scopes[-1]
            self.scopes[-1] = (kind, name, access[1])

    def note_function(self, introduction):
        text = ACCESS.sub(" ", introduction)
        text = re.sub(r"\[\[.*?\]\]|static_assert\s*\(.*", " ", text, flags=re.DOTALL)
        text = re.sub(r"\btemplate\s*<[^>]*>|\bconcept\b.*|\b(alignas|decltype|noexcept)\s*\([^)]*\)", " ",
                      text, flags=re.DOTALL)
        match = FUNCTION.search(text)
        if match and self.is_public() and not match[1].startswith("operator"):
            self.found.add(f"{self.name()}::{match[1]}")

    def read(self, text):
        head, skip = 0, 0   # skip: how deep we are in a body
        for brace in re.finditer(r"[{};]", text):
            introduction = text[head:brace.start()]
            if brace[0] == "{":
                if skip == 0 and self.enter(introduction):
                    head = brace.end()
                    continue
                skip += 1
                if skip == 1 and ")" in introduction and not introduction.rstrip().endswith("="):
                    self.note_access(introduction)
                    self.note_function(introduction)
            elif brace[0] == "}":
                if skip > 0:
                    skip -= 1
                    if skip > 0:
                        continue
                else:
                    self.scopes.pop()
            elif skip == 0 and self.scopes:
                self.note_access(introduction)
            if skip == 0:
                head = brace.end()

    def enter(self, introduction):
        if self.scopes:
            self.note_access(introduction)
        scope = SCOPE.search(ACCESS.sub(" ", introduction).rstrip())
        if not scope:
            return False
        kind = scope[1].split()[0]
        if kind == "enum":
            return False
        self.scopes.append((kind, scope[2], "private" if kind == "class" else "public"))
        return True


def inline_functions(directory):
    found = set()
    for path in sorted(directory.glob("daemonctx/*.hpp")):   # detail/ is not public
        reader = Reader()
        # The default values of members and parameters are left out.
        reader.read(NOISE.sub(" ", path.read_text()).replace("= {}", ""))
        found |= reader.found
    return found


def is_exempt(name):
    return any(name == each or each.endswith("*") and name.startswith(each[:-1]) for each in EXEMPT)


def main():
    nm, library, probe, include = sys.argv[1:]
    rows = output_of(probe, "--list").splitlines()
    inline = inline_functions(pathlib.Path(include))
    strong, weak = exported_functions(nm, library)
    # The compiler chooses which inline functions become weak symbols of the library.
    exported = strong | {name for name in weak if name.partition("(")[0] not in inline}
    problems = []

    def note(names, problem):
        problems.extend(f"{name} {problem}" for name in sorted(names))

    known = set(rows)
    without_row = {name for name in (exported | inline) - known - set(EXEMPT_INLINE) if not is_exempt(name)}
    note(without_row & exported, "is exported and has no row")
    note(without_row - exported, "is inline and has no row")
    note(known - exported - inline, "has a row, and is neither exported nor inline")
    note({name for name in rows if rows.count(name) > 1}, "has two rows")
    whole = {name for name in EXEMPT if not name.endswith("*")}
    note(whole - exported | set(EXEMPT_INLINE) - inline, "is exempt, and does not exist any more")
    note((whole | set(EXEMPT_INLINE)) & known, "is exempt, and has a row")
    if "NODELETE" not in output_of("readelf", "-dW", library):
        problems.append(f"{library} can be unloaded, while its fork handlers stay registered")
    for problem in problems:
        print(problem)
    print(f"{len(rows)} rows, {len(exported)} exported functions, {len(inline)} inline ones")
    sys.exit(1 if problems else 0)


main()
