#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Checks who includes whom: a file includes its own header first, and then only what is on a lower floor.

Usage: check_layers.py SOURCE_ROOT
The table is that of doc/design.md. Units on one line belong together; all others on a floor don't know each other.
"""

import re

from tree import ROOT, finish, sources

FLOORS = [
    # 0: handles, errors, system calls. The order within the line is theirs.
    [
        "export features error unique_fd posix/syscalls posix/retry posix/signals posix/threads posix/pidfd "
        "posix/file_lock posix/lock_board posix/wake_fd posix/deadline "
        "posix/rseq posix/file_watch posix/start_time progress ticker plain_text posix/identity posix/trust "
        "posix/trusted_path posix/process posix/signal_name posix/crash_note posix/child_trap "
        "posix/unix_socket posix/lifeline",
    ],
    # 1: parts
    [
        "pidfile pidfile_opening",
        "stdio redirection syslog_pump line_source",
        "signal_map signal_inbox signal_dispatcher signal_relay",
        "detail/cleanup_entry cleanup_stack cleanup_watch",
        "readiness",
        "flush",
        "directory directories",
        "restriction",
        "respawn_policy backoff worker_notice",
        "notify service_manager listen_descriptors worker_talk reload_notice",
        "posix/close_fds",
        "posix/resource_limits",
    ],
    # 2: becoming a daemon
    [
        "detach",
        "init_process",
        "launch",
        "launch_mode launch_decision",
    ],
    # 3: the guard
    [
        "daemon_options daemon_context run explain daemon_context_impl start caller_steps daemon_steps monitor "
        "monitor_messages lifetime",
    ],
    # 4: on top, side by side
    [
        "controller target",
        "asio detail/signal_pump",
        "confine confine/capabilities confine/landlock confine/system_calls",
    ],
    # 5: a program's command line
    [
        "service service/command_line service/configuration service/documents service/report service/run service/settings "
        "service/waiting_display",
    ],
]
PLACE = {unit: (floor, group) for floor, groups in enumerate(FLOORS) for group in groups for unit in group.split()}
GENERATED = {"features"}
INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)


def unit_of(path):
    for folder in ["include/daemonctx", "src"]:
        if path.is_relative_to(ROOT / folder):
            return path.relative_to(ROOT / folder).with_suffix("").as_posix()
    raise ValueError(path)


def included_unit(quoted, angled):
    """The unit of this library that is included, or None."""
    name = (quoted or angled).removeprefix("daemonctx/").removesuffix(".hpp")
    ours = quoted or angled.startswith(("daemonctx/", "posix/"))
    return name if ours else None


def may_include(user, used):
    return PLACE[used][0] < PLACE[user][0] or PLACE[used] == PLACE[user]


def check(path, units_with_header):
    unit = unit_of(path)
    if unit not in PLACE:
        yield path, 1, f"the unit {unit} is missing from the table in check_layers.py"
        return
    text = path.read_text()
    for number, match in enumerate(INCLUDE.finditer(text)):
        line = text.count("\n", 0, match.start(1 if match[1] else 2)) + 1
        used = included_unit(*match.groups())
        if number == 0 and path.suffix == ".cpp" and unit in units_with_header and used != unit:
            yield path, line, "must include its own header first"
        if used is None:
            continue
        if used not in PLACE:
            yield path, line, f"the unit {used} is missing from the table in check_layers.py"
        elif used not in units_with_header | GENERATED:
            yield path, line, f"there is no header of {used}"
        elif not may_include(unit, used):
            yield path, line, (f"{unit} (floor {PLACE[unit][0]}) must not include {used} (floor {PLACE[used][0]})")


def main():
    library = sources("include", "src")
    with_header = {unit_of(path) for path in library if path.suffix == ".hpp"}
    finish([finding for path in library for finding in check(path, with_header)])


main()
