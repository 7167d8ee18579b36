# SPDX-License-Identifier: BSL-1.0
# shellcheck shell=bash disable=SC2034,SC2154
#
# Sourced by test/run and test/debian13, which set `root` and `build_root`: the kinds of build, how to make
# one, how to run its tests, and how to count the results.

passed=0 failed=0 skipped=0
failures=()  # a paragraph each, shown again before the last line: the middle of a long log is easily lost

# fail NAME WORD...: counts one more failure.
fail() {
  failed=$((failed + 1))
  failures+=("$*")
}

declare -A compiler_of=([gcc]=g++ [clang]=clang++ [fallbacks]=g++ [asan]=g++ [tsan]=g++ [fuzz]=clang++)
# A build in few translation units takes a fifth of the time. With gcc, and in clang-tidy's checks, each source file
# stands for itself.
few_units='-Dunity=on -Dunity_size=40'
declare -A options_of=(
  [gcc]='-Dtests=enabled -Dwerror=true'
  [clang]="-Dtests=enabled $few_units -Dwerror=true"
  [fallbacks]="-Dtests=enabled $few_units -Dwerror=true -Dfallbacks=true -Doptimization=0"
  [asan]="-Dtests=enabled $few_units -Db_sanitize=address,undefined -Db_lundef=false -Doptimization=0"
  [tsan]="-Dtests=enabled $few_units -Db_sanitize=thread -Db_lundef=false -Doptimization=1"
  [fuzz]="-Dtests=enabled $few_units -Dfuzzers=true -Db_sanitize=address,undefined -Db_lundef=false -Doptimization=1"
)
declare -A is_built=()

# The targets that every test needs, and those that only have to compile. Benchmarks are not among them.
needed_targets=(meson-test-prereq doc/examples/first_daemon)

directory_of() { echo "$build_root/build-test-$1"; }

# logged LOG COMMAND...: appends the command's output to LOG, and shows the end of LOG only if the command
# fails.
logged() {
  "${@:2}" >>"$1" 2>&1 </dev/null && return
  tail -n 60 "$1"
  return 1
}

# configure KIND OPTION...
configure() {
  local dir options
  dir=$(directory_of "$1")
  read -ra options <<<"${options_of[$1]}"
  mkdir -p "$dir"
  [[ ! -e $dir/build.ninja ]] || options+=(--reconfigure)
  : >"$dir/build.log"
  CXX=${compiler_of[$1]} logged "$dir/build.log" meson setup "$dir" "$root" "${options[@]}" "${@:2}"
}

# build KIND NINJA-TARGET...: builds a kind once in each run. A build that fails counts as a test that fails.
build() {
  local kind=$1 dir
  dir=$(directory_of "$kind")
  [[ -z ${is_built[$kind]-} ]] || return 0
  echo "building, log: $dir/build.log"
  if configure "$kind" && logged "$dir/build.log" ninja -C "$dir" "${@:2}"; then
    is_built[$kind]=yes
    return
  fi
  echo "$kind: the build failed"
  fail "$kind: the build failed:" "$(tail -n 40 "$dir/build.log")"
  return 1
}

# meson_test DIRECTORY OPTION...: the sanitizers write their reports to files, since a daemon's standard error
# may be the null device.
meson_test() {
  local dir=$1 reports=$1/sanitizer prefix=()
  rm -rf "$reports" "$dir/meson-logs/testlog.json"
  mkdir -m 1777 "$reports"
  # By default the sanitizers forbid core files, which some tests check.
  local all=disable_coredump=0:log_path=$reports
  # The sanitizers of this compiler can't cope with every address layout of newer kernels.
  if [[ $dir == *san ]] && setarch -R true 2>/dev/null; then prefix=(setarch -R); fi
  ASAN_OPTIONS=$all/asan \
  UBSAN_OPTIONS=log_path=$reports/ubsan:print_stacktrace=1 \
  TSAN_OPTIONS=$all/tsan \
    "${prefix[@]}" meson test -C "$dir" --print-errorlogs "${@:2}" </dev/null
}

# count DIRECTORY RESULT...: prints how many tests had one of these results; 0 if no test began.
count() {
  local pattern number
  pattern=$(IFS='|'; echo "${*:2}")
  number=$(grep -Ec "\"result\": \"($pattern)\"" "$1/meson-logs/testlog.json" 2>/dev/null || true)
  echo "${number:-0}"
}

# failing_tests DIRECTORY: prints a line for each failed test, and the errors that Boost.Test or the script
# printed.
failing_tests() {
  [[ -e $1/meson-logs/testlog.json ]] || return 0
  python3 - "$1/meson-logs/testlog.json" <<'END'
import json, re, sys
for line in open(sys.argv[1], encoding='utf-8', errors='replace'):
    test = json.loads(line)
    if test['result'] in ('OK', 'EXPECTEDFAIL', 'SKIP'):
        continue
    said = (test.get('stdout') or '').splitlines() + (test.get('stderr') or '').splitlines()
    errors = [text for text in said if re.search(r'error[: ]', text)] or said[-20:]
    print(f"{test['name']}: {test['result']} after {test['duration']:.0f} s")
    print(*(f'  {text}' for text in errors[:20]), sep='\n')
END
}

# run_tests KIND OPTION...
run_tests() {
  local kind=$1 dir status=0 report bad good
  dir=$(directory_of "$kind")
  meson_test "$dir" "${@:2}" || status=$?
  good=$(count "$dir" OK EXPECTEDFAIL)
  bad=$(count "$dir" FAIL ERROR TIMEOUT INTERRUPT UNEXPECTEDPASS)
  if ((status != 0 && bad == 0)) || ((good + bad + $(count "$dir" SKIP) == 0)); then
    echo "$kind: meson test exited with code $status, but reported no failed test"
    bad=1
  fi
  ((bad == 0)) || failures+=("$kind: $(failing_tests "$dir")")
  for report in "$dir"/sanitizer/*; do
    # Ignore mere remarks, as about a process that was killed while the leak sanitizer looked at it.
    grep -qsE 'ERROR: |WARNING: ThreadSanitizer|FATAL: |runtime error: ' "$report" || continue
    echo "$kind: a sanitizer's report, $report"
    cat "$report"
    failures+=("$kind: $(head -n 40 "$report")")
    bad=$((bad + 1))
  done
  passed=$((passed + good)) failed=$((failed + bad)) skipped=$((skipped + $(count "$dir" SKIP)))
}

# The last line of every run. Fails if a test failed, or none ran.
sum_up() {
  ((${#failures[@]} == 0)) || printf '\n%s\n' "What failed:" "${failures[@]}"
  local summary="$passed passed, $failed failed"
  ((skipped == 0)) || summary+=", $skipped skipped"
  echo "$summary"
  ((failed == 0 && passed > 0))
}
