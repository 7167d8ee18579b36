#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Installs the library into a temporary place and uses it there: by pkg-config, by CMake, as a subproject.

Usage: test_package.py SOURCE_ROOT shared|static
Exits with 77 (skipped) if all that could be tried worked, but CMake or pkg-config is missing.
"""

import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
CXX = shlex.split(os.environ.get("CXX", "c++"))
# The library is built by CXX; programs that use it may come from another compiler.
COMPILERS = [CXX, *([name] for name in ["g++", "clang++"] if shutil.which(name) and CXX[-1] != name)]
STANDARDS = {"20": "c++20", "23": "c++2b"}  # for CMake, and as clang 14 knows them
# No optimization and few translation units: an installation does not depend on them, and they save most of the time.
QUICK = ["-Doptimization=0", "-Ddebug=false", "-Dunity=on", "-Dunity_size=40"]
API = re.compile(r"(typeinfo for |typeinfo name for |vtable for )?daemonctx::(?!.*\bImpl::)")


def run(*command, **changes):
    """Runs a command. Its output is shown only if the command fails."""
    command = [str(part) for part in command]
    print("+", shlex.join(command), flush=True)
    done = subprocess.run(command, env={**os.environ, **changes}, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        sys.exit(f"{done.stdout}\n{command[0]} failed with exit code {done.returncode}")
    return done.stdout


def check(condition, message):
    if not condition:
        sys.exit(message)


def check_run(program, work, library_path=""):
    pidfile = work / "consumer.pid"
    output = run(program, pidfile, LD_LIBRARY_PATH=str(library_path))
    lines = ['cannot change the working directory to "/nonexistent/directory": No such file or directory',
             "foreground", "cleaned up"]
    check(output.splitlines() == lines, f"unexpected output: {output}")
    check(not pidfile.exists(), "the pidfile was left behind")


def check_run_service(program, work, library_path=""):
    pidfile = work / "consumer.pid"
    output = run(program, "run", "--number", "7", "--pidfile", pidfile, LD_LIBRARY_PATH=str(library_path))
    check(output.splitlines() == ["7", "runs as foreground"], f"unexpected output: {output}")
    check(not pidfile.exists(), "the pidfile was left behind")


def check_run_confine(program, work, library_path=""):
    pidfile = work / "consumer.pid"
    output = run(program, pidfile, LD_LIBRARY_PATH=str(library_path))
    check(output.splitlines() == ["confined"], f"unexpected output: {output}")
    check(not pidfile.exists(), "the pidfile was left behind")


def check_run_crash(program, work, library_path=""):
    pidfile = work / "consumer.pid"
    output = run(program, pidfile, LD_LIBRARY_PATH=str(library_path))
    check(output.splitlines() == ["explained"], f"unexpected output: {output}")
    check(not pidfile.exists(), "the pidfile was left behind")


def install(source, kind, work):
    prefix = work / "prefix"
    run("meson", "setup", work / "build", source, f"--prefix={prefix}", f"-Ddefault_library={kind}",
        "-Dtests=disabled", "-Dexamples=false", "-Dwerror=true", "-Dservice=enabled", "-Dcrash=enabled",
        *QUICK)
    run("meson", "install", "-C", work / "build")
    return prefix


def check_files(source, prefix, kind):
    def headers(root):
        return {path.name for path in (root / "include/daemonctx").glob("*.hpp")}

    check(headers(source) == headers(prefix),
          f"headers not installed, or too many: {headers(source) ^ headers(prefix)}")
    pages = {path.name for path in (prefix / "share/man").rglob("daemonctx*")}
    check(pages == {"daemonctx.3", "daemonctx.7", "daemonctx_options.5"}, f"manual pages: {pages}")
    libraries = {path.name for path in prefix.rglob("libdaemonctx*")}
    for library in ["libdaemonctx", "libdaemonctx-confine", "libdaemonctx-crash", "libdaemonctx-service"]:
        check((f"{library}.a" in libraries) == (kind == "static"), f"installed: {libraries}")
        check((f"{library}.so.0" in libraries) == (kind == "shared"), f"installed: {libraries}")


def check_that_libraries_find_each_other(prefix):
    """A program may name only one of them. The linker's --as-needed drops the others from it."""
    for library in prefix.rglob("libdaemonctx*.so"):
        listing = run("ldd", library, LD_LIBRARY_PATH="")
        check("not found" not in listing, f"{library.name} does not find what it needs:\n{listing}")


def check_exports(prefix, name):
    library = next(prefix.rglob(name))
    listing = run("nm", "-DC", "--defined-only", library)
    exported = [line.split(maxsplit=2)[2] for line in listing.splitlines()]
    foreign = [symbol for symbol in exported if not API.match(symbol)]
    check(exported, "the library exports nothing")
    check(not foreign, "exported, but not part of the interface:\n  " + "\n  ".join(foreign))


def use_pkg_config(prefix, kind, work):
    libdir = next(prefix.rglob("daemonctx.pc")).parents[1]
    static = ["--static"] if kind == "static" else []
    consumers = [("consumer.cpp", "daemonctx >= 0.1", check_run),
                 ("consumer_confine.cpp", "daemonctx-confine >= 0.1", check_run_confine),
                 ("consumer_crash.cpp", "daemonctx-crash >= 0.1", check_run_crash),
                 ("consumer_service.cpp", "daemonctx-service >= 0.1", check_run_service)]
    for source, package, check_it in consumers:
        flags = run("pkg-config", "--cflags", "--libs", *static, package,
                    PKG_CONFIG_PATH=str(libdir / "pkgconfig"))
        program = work / "consumer-pkg-config"
        for compiler, standard in itertools.product(COMPILERS, STANDARDS.values()):
            run(*compiler, f"-std={standard}", HERE / source, "-o", program, *shlex.split(flags))
            check_it(program, work, libdir)


def first_error(output):
    return next((line for line in output.splitlines() if "error:" in line), "no error")


def fails(*command, **changes):
    """The output of a command that must fail."""
    command = [str(part) for part in command]
    print("+", shlex.join(command), "# must fail", flush=True)
    done = subprocess.run(command, env={**os.environ, **changes}, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    check(done.returncode != 0, f"{shlex.join(command)} has worked")
    return done.stdout


def refuse_old_standards(prefix, work):
    for header in sorted((prefix / "include/daemonctx").glob("*.hpp")):
        source = work / "old.cpp"
        source.write_text(f"#include <daemonctx/{header.name}>\n")
        output = subprocess.run([*CXX, "-std=c++17", f"-I{prefix / 'include'}", "-fsyntax-only", source],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                check=False).stdout
        wanted = ("daemonctx needs C++20: compile with -std=c++20", "no error")
        check(any(text in first_error(output) for text in wanted), f"{header.name}: {first_error(output)}")
    check("daemonctx needs C++20" in fails(*CXX, "-std=c++17", f"-I{prefix / 'include'}", "-fsyntax-only",
                                           HERE / "consumer.cpp"), "consumer.cpp: no word about C++20")


def name_missing_components(prefix, work):
    there_are = "its components are confine, crash and service"
    for components, text in [("nosuch", f'daemonctx has no component "nosuch"; {there_are}'),
                             ("confine Service", f'daemonctx has no component "Service"; {there_are}')]:
        project = work / "missing"
        project.mkdir(exist_ok=True)
        (project / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.16)\nproject(missing LANGUAGES CXX)\n"
            f"find_package(daemonctx REQUIRED COMPONENTS {components})\n")
        output = fails("cmake", "-S", project, "-B", work / "missing-build", f"-DCMAKE_PREFIX_PATH={prefix}")
        check(text in " ".join(output.split()), f"CMake does not name what is missing:\n{output}")


def set_up_without_boost_test(source, work):
    """`meson setup` and `meson install`, as the README says, need only what the library needs."""
    root = work / "boost"
    (root / "lib").mkdir(parents=True)
    (root / "include").mkdir()
    (root / "include/boost").symlink_to("/usr/include/boost")
    for library in Path("/usr/lib").glob("*/libboost_*"):
        if "unit_test" not in library.name and "test_exec" not in library.name:
            (root / "lib" / library.name).symlink_to(library)
    build = work / "build-without-boost-test"
    run("meson", "setup", build, source, *QUICK, BOOST_ROOT=str(root))
    check(run("meson", "introspect", "--tests", build).strip() == "[]", "there are tests without Boost.Test")
    fails("meson", "setup", work / "build-with-tests", source, "-Dtests=enabled", BOOST_ROOT=str(root))


def use_cmake(prefix, work):
    moved = prefix.rename(work / "moved")  # an installation may be moved
    name_missing_components(moved, work)
    for compiler, standard in zip(COMPILERS, STANDARDS):
        build = work / f"cmake-{standard}"
        run("cmake", "-S", HERE, "-B", build, f"-DCMAKE_PREFIX_PATH={moved}",
            f"-DCMAKE_CXX_COMPILER={compiler[-1]}", f"-DCMAKE_CXX_STANDARD={standard}")
        run("cmake", "--build", build)
        check_run(build / "consumer", work)
        check_run_confine(build / "consumer_confine", work)
        check_run_crash(build / "consumer_crash", work)
        check_run_service(build / "consumer_service", work)
    moved.rename(prefix)


def use_subproject(source, kind, work):
    consumer = work / "consumer"
    library = consumer / "subprojects/daemonctx"
    library.mkdir(parents=True)
    shutil.copy(HERE / "consumer.cpp", consumer)
    shutil.copy(HERE / "consumer_confine.cpp", consumer)
    shutil.copy(HERE / "consumer_crash.cpp", consumer)
    shutil.copy(HERE / "consumer_service.cpp", consumer)
    shutil.copy(HERE / "consumer.meson.build", consumer / "meson.build")
    for part in ["meson.build", "meson_options.txt"]:
        shutil.copy(source / part, library)
    for part in ["include", "src", "doc/man"]:
        shutil.copytree(source / part, library / part)
    build = work / "build-subproject"
    run("meson", "setup", build, consumer, f"-Ddefault_library={kind}", *QUICK,
        "--force-fallback-for=daemonctx,daemonctx-confine,daemonctx-crash,daemonctx-service")
    run("meson", "compile", "-C", build)
    check_run(build / "consumer", work)
    check_run_confine(build / "consumer_confine", work)
    check_run_crash(build / "consumer_crash", work)
    check_run_service(build / "consumer_service", work)


def main():
    source, kind = Path(sys.argv[1]).resolve(), sys.argv[2]
    missing = [tool for tool in ["pkg-config", "cmake"] if shutil.which(tool) is None]
    os.environ.pop("DESTDIR", None)
    with tempfile.TemporaryDirectory(prefix="daemonctx-package-") as directory:
        work = Path(directory).resolve()
        prefix = install(source, kind, work)
        check_files(source, prefix, kind)
        refuse_old_standards(prefix, work)
        if kind == "shared":
            set_up_without_boost_test(source, work)
            check_that_libraries_find_each_other(prefix)
            check_exports(prefix, "libdaemonctx.so")
            check_exports(prefix, "libdaemonctx-confine.so")
            check_exports(prefix, "libdaemonctx-crash.so")
            check_exports(prefix, "libdaemonctx-service.so")
        if "pkg-config" not in missing:
            use_pkg_config(prefix, kind, work)
        if "cmake" not in missing:
            use_cmake(prefix, work)
        use_subproject(source, kind, work)
    if missing:
        print("not tried, because these are missing:", ", ".join(missing))
        sys.exit(77)


main()
