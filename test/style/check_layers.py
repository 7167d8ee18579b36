#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Checks which files include which. A file includes its own header first, and then only headers of its own
folder and of those before it in FLOORS.

Usage: check_layers.py SOURCE_ROOT
"""

import re

from tree import ROOT, finish, sources

FLOORS = ["base", "posix", "process", "safe_path", "signals", "cleanup", "output", "manager", "sockets",
          "pidfile", "launch", "upgrade", "supervise", "context", "control", "confine", "crash", "service"]

# Which folder a public header belongs to.
PUBLIC = {
    "base": ["crash_report", "detail/chrono", "detail/handle", "environment", "error", "export", "limits", "path", "progress",
             "respawn_policy", "signal_map", "start_options", "timeout", "upgrade_options"],
    "safe_path": ["directory"],
    "cleanup": ["cleanup", "detail/cleanup_entry", "detail/cleanup_stack", "detail/cleanup_visit"],
    "output": ["stdio"],
    "manager": ["service_manager"],
    "sockets": ["socket"],
    "pidfile": ["pidfile_options"],
    "launch": ["launch_mode"],
    "context": ["asio", "change_user", "daemon_context", "daemon_options", "detail/connection_queue",
                "detail/signal_pump", "restriction", "run", "stop_token"],
    "control": ["controller", "daemon_status"],
    "confine": ["confine"],
    "crash": ["stack_resolver"],
    "service": ["service"],
}
FOLDER_OF = {header: folder for folder, headers in PUBLIC.items() for header in headers}

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)
UNITS_WITH_HEADER = {path.relative_to(ROOT / "src").with_suffix("").as_posix()
                     for path in sources("src") if path.suffix == ".hpp"}


def folder_of(path):
    """The floor of a file, or None for a header that PUBLIC does not name."""
    if path.is_relative_to(ROOT / "src"):
        return path.relative_to(ROOT / "src").parts[0]
    return FOLDER_OF.get(path.relative_to(ROOT / "include/daemonctx").with_suffix("").as_posix())


def may_use_boost(path):
    """False for most public headers: a program that includes them must not need Boost."""
    return path.is_relative_to(ROOT / "src") or path.stem in ("service", "asio", "signal_pump", "connection_queue")


def included_folder(quoted, angled):
    """The floor of an included header, or None for a foreign or generated one. Raises KeyError if there is no
    such header."""
    name = (quoted or angled).removesuffix(".hpp")
    if name.startswith("daemonctx/"):
        return FOLDER_OF[name.removeprefix("daemonctx/")]
    if not (quoted or angled.startswith("posix/")) or name == "features":
        return None
    if name not in UNITS_WITH_HEADER:
        raise KeyError(name)
    return name.split("/")[0]


def own_headers(path):
    """The headers that a source may include first, as its own."""
    unit = path.relative_to(ROOT / "src").with_suffix("")
    public = [f"daemonctx/{header}.hpp" for header in PUBLIC.get(unit.parts[0], []) if header == unit.name]
    return [f"{unit.as_posix()}.hpp"] if unit.as_posix() in UNITS_WITH_HEADER else public


def check(path):
    floor = folder_of(path)
    if floor not in FLOORS:
        yield path, 1, "is in no folder of the list in check_layers.py"
        return
    text = path.read_text()
    expected = own_headers(path) if path.suffix == ".cpp" else []
    for number, match in enumerate(INCLUDE.finditer(text)):
        line = text.count("\n", 0, match.start(1 if match[1] else 2)) + 1
        if number == 0 and expected and (match[1] or match[2]) not in expected:
            yield path, line, "must include its own header first"
        try:
            used = included_folder(*match.groups())
        except KeyError as unknown:
            yield path, line, f"there is no header of {unknown}, or check_layers.py does not know its folder"
            continue
        if (match[2] or "").startswith("boost/") and not may_use_boost(path):
            yield path, line, "no public header but Service's and Asio's may include Boost"
        if used is not None and FLOORS.index(used) > FLOORS.index(floor):
            yield path, line, f"{floor} must not include {used}, which FLOORS lists after it"


def main():
    folders = {path.relative_to(ROOT / "src").parts[0] for path in sources("src")}
    unknown = [(ROOT / "src" / folder, 1, "is a folder that check_layers.py does not know")
               for folder in sorted(folders - set(FLOORS))]
    finish(unknown + [finding for path in sources("include", "src") for finding in check(path)])


main()
