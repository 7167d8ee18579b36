#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Proves that the fault machine sees faults: builds the subject with each planted fault, and runs the points that
must show it.

Usage: check_planted.py SOURCE_ROOT BUILD_DIR [NAME...]
       check_planted.py SOURCE_ROOT --apply      only checks that every patch still applies

A patch begins with the operation and the points, as the options of fault_machine have them.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path


class Planted:
    def __init__(self, path):
        self.name, self.path = path.stem, path
        text = path.read_text(encoding="utf-8")
        self.operation = re.search(r"^operation: (.+)$", text, re.MULTILINE)[1]
        self.points = re.search(r"^points: (.+)$", text, re.MULTILINE)[1]
        self.files = re.findall(r"^\+\+\+ b/(\S+)", text, re.MULTILINE)

    def apply(self, tree):
        subprocess.run(["patch", "--quiet", "--fuzz=0", "-p1", "-d", tree, "-i", self.path], check=True,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def copy_sources(root, to):
    for folder in ("include", "src"):
        shutil.copytree(root / folder, to / folder, dirs_exist_ok=True)


def applies(root, planted):
    with tempfile.TemporaryDirectory() as tree:
        for file in planted.files:
            (Path(tree) / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / file, Path(tree) / file)
        try:
            planted.apply(tree)
        except subprocess.CalledProcessError as error:
            print(f"test/faults/planted/{planted.name}.patch does not apply: {error.stdout.strip()}")
            return False
    return True


def build(root, build_dir, planted, tree):
    """Compiles the changed file and links a subject with it. Returns the subject's path."""
    commands = json.loads((build_dir / "compile_commands.json").read_text())
    link = next(line for line in subprocess.run(
        ["ninja", "-C", build_dir, "-t", "commands", "test/faults/fault_subject"], check=True,
        capture_output=True, text=True).stdout.splitlines() if " -o test/faults/fault_subject " in line)
    subject = tree / "subject"
    link = link.replace(" -o test/faults/fault_subject ", f" -o {subject} ")
    for file in planted.files:
        entry = next(each for each in commands if each["output"].startswith("test/faults/fault_subject.p/")
                     and os.path.realpath(build_dir / each["file"]) == str(root / file))
        compile_it = entry["command"].replace(str(root), str(tree))
        compile_it = compile_it.replace(os.path.relpath(root, build_dir), str(tree))
        made = tree / (Path(file).name + ".o")
        words = shlex.split(compile_it)
        words[words.index("-o") + 1] = str(made)
        subprocess.run(words, cwd=build_dir, check=True)
        link = link.replace(entry["output"], str(made))
    subprocess.run(link, shell=True, cwd=build_dir, check=True)
    return subject


def is_noticed(root, build_dir, planted):
    with tempfile.TemporaryDirectory() as directory:
        tree = Path(directory)
        tree.chmod(0o755)
        copy_sources(root, tree)
        planted.apply(tree)
        subject = build(root, build_dir, planted, tree)
        run = subprocess.run([build_dir / "test/faults/fault_machine", subject, "--operation", planted.operation,
                              "--point", planted.points], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             text=True, check=False)
    lines = [line for line in run.stdout.splitlines() if "; " in line and ": reached" in line]
    if run.returncode == 77:
        sys.exit(77)
    print(f"{planted.name}: {lines[0] if lines else 'NOT NOTICED: ' + run.stdout[-300:]}", flush=True)
    return run.returncode == 1 and bool(lines)


def main():
    root = Path(sys.argv[1]).resolve()
    all_planted = [Planted(path) for path in sorted((root / "test/faults/planted").glob("*.patch"))]
    if sys.argv[2] == "--apply":
        sys.exit(0 if all_planted and all([applies(root, each) for each in all_planted]) else 1)
    chosen = [each for each in all_planted if not sys.argv[3:] or each.name in sys.argv[3:]]
    noticed = sum(is_noticed(root, Path(sys.argv[2]).resolve(), each) for each in chosen)
    print(f"{noticed} of {len(chosen)} planted faults noticed")
    sys.exit(0 if noticed == len(chosen) > 0 else 1)


main()
