# SPDX-License-Identifier: BSL-1.0
# shellcheck shell=bash disable=SC2034,SC2154
#
# Sourced by test/run: the checks that take too long for every run of --ci. Each run of --ci does one slice,
# which the commit chooses. To add a slice, write its name into the list, and a function slice_NAME that takes
# about twelve minutes. The function counts its results as run_tests does.

slices=(debian13 races tidy)

# The tests of a daemon's life in a Debian 13, which has a newer glibc.
slice_debian13() {
  local status=0 log=$build_root/debian13.log summary
  require "${debian13_packages[@]}" || true  # without them test/debian13 says so and is skipped
  mkdir -p "$build_root"
  more_rounds "$root/test/debian13" "${debian13_kinds[@]}" </dev/null 2>&1 | tee "$log" ||
    status=${PIPESTATUS[0]}
  summary=$(tail -n 1 "$log")
  if ((status == 77)); then
    skipped=$((skipped + 1))
  elif [[ $summary =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)?$ ]]; then
    passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
    skipped=$((skipped + ${BASH_REMATCH[4]:-0}))
    ((BASH_REMATCH[2] == 0)) || failures+=("debian13: $(sed -n '/^What failed:/,$p' "$log")")
  else
    echo "debian13: exited with code $status, but reported no results"
    fail "debian13: exited with code $status"
  fi
}

# Each race runs ten times as often as otherwise.
slice_races() {
  build gcc "${needed_targets[@]}" || return 0
  DAEMONCTX_ROUNDS=2000 run_tests gcc --suite race -t 20
}

# clang-tidy takes as long as two builds.
slice_tidy() {
  build gcc "${needed_targets[@]}" || return 0
  run_tests gcc --suite tidy -t "$patience"
}
