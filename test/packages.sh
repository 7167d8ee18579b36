# SPDX-License-Identifier: BSL-1.0
# shellcheck shell=bash disable=SC2034
#
# Sourced by test/run, test/debian13 and doc/quickstart: the Debian packages that are needed, as
# PACKAGE:EVIDENCE. The evidence shows that the package is installed (is_there).

core_packages=(  # the core and the command line
  g++:g++
  meson:meson
  ninja-build:ninja
  pkg-config:pkg-config
  libboost-filesystem-dev:libboost_filesystem.so
  libboost-program-options-dev:libboost_program_options.so
  nlohmann-json3-dev:/usr/include/nlohmann/json.hpp
)
build_packages=(
  "${core_packages[@]}"
  libcap-dev:/usr/include/sys/capability.h
  libseccomp-dev:/usr/include/seccomp.h
  libdw-dev:/usr/include/elfutils/libdwfl.h
)
test_packages=(
  "${build_packages[@]}"
  libboost-test-dev:libboost_unit_test_framework.so
  libspdlog-dev:/usr/include/spdlog/spdlog.h
  libsqlite3-dev:/usr/include/sqlite3.h
  clang-format:clang-format
  cppcheck:cppcheck
  s6:s6-supervise
  runit:runsv
  supervisor:supervisord
  logrotate:/usr/sbin/logrotate
  mandoc:mandoc
  strace:strace
  spin:spin
  systemd:systemd-analyze
  systemd-container:systemd-nspawn
  python3:python3
)
# Only test/run --ci and --exhaustive need these.
ci_packages=(
  clang:clang++
  clang-tidy:clang-tidy
  libclang-rt-14-dev:/usr/lib/clang/14/include/fuzzer/FuzzedDataProvider.h
  cmake:cmake
  openrc:openrc-run
  chromium:chromium
)
debian13_packages=(
  debootstrap:debootstrap
  debian-archive-keyring:/usr/share/keyrings/debian-archive-keyring.gpg
)

# is_there EVIDENCE: a command, a file, or a library that the compiler finds.
is_there() {
  case $1 in
    /*) [[ -e $1 ]] ;;
    *.so) [[ $(g++ -print-file-name="$1" 2>/dev/null) == /* ]] ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

# require PACKAGE:EVIDENCE...: installs the missing packages, or names them and fails.
require() {
  local entry missing=()
  for entry; do
    is_there "${entry#*:}" || missing+=("${entry%%:*}")
  done
  ((${#missing[@]})) || return 0
  if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
    echo "missing, and only root can install it with apt-get: ${missing[*]}" >&2
    return 1
  fi
  echo "installing: ${missing[*]}"
  local log
  log=$(mktemp)
  if ! { apt-get update && DEBIAN_FRONTEND=noninteractive \
         apt-get install --yes --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
    cat "$log" >&2
    rm -f "$log"
    echo "apt-get could not install: ${missing[*]}" >&2
    return 1
  fi
  rm -f "$log"
}
