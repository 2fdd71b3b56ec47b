#!/usr/bin/env bash
# `make test`: everything that must hold before a change is taken, one step after the other, with a verdict at the end.
#
# Where EYELINE_EVAL_DATA names the evaluation material, the tests that need it run too, in the step with all features.
set -euo pipefail

started=$SECONDS
step="preparation"
summary=$(mktemp)
verdict() {
  local status=$? minutes=$(((SECONDS - started) / 60)) seconds=$(((SECONDS - started) % 60))
  if [ $status = 0 ]; then
    printf '\nmake test: PASSED in %d min %d s\n%s\n' $minutes $seconds "$(totals)"
  else
    printf '\nmake test: FAILED at "%s", after %d min %d s\n' "$step" $minutes $seconds
  fi
  rm -f "$summary"
}
trap verdict EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
  printf 'make test: error: %s\n' "$*" >&2
  exit 1
}

# Adds up what the test programs themselves reported.
totals() {
  awk '/^test result:/ { passed += $4; failed += $6; ignored += $8; programs += 1 }
    END { printf "  %d tests passed, %d failed, %d ignored, in %d test programs", passed, failed, ignored, programs }' \
    "$summary"
  if [ -z "${EYELINE_EVAL_DATA:-}" ]; then
    printf ' (EYELINE_EVAL_DATA is not set: tests that need it are among the ignored)'
  fi
}

# run NAME COMMAND...: one step, its test results added to the summary.
run() {
  local begun=$SECONDS
  step=$1
  shift
  printf '\n== %s: %s\n' "$step" "$*"
  "$@" | tee -a "$summary"
  printf '== %s: done in %d s\n' "$step" $((SECONDS - begun))
}

if [ -n "${EYELINE_EVAL_DATA:-}" ]; then
  given=$EYELINE_EVAL_DATA
  EYELINE_EVAL_DATA=$(cd "$given" 2>/dev/null && pwd) ||
    fail "EYELINE_EVAL_DATA=$given is not a directory (relative to $PWD); correct it or unset it"
  export EYELINE_EVAL_DATA
  included=(-- --include-ignored)
else
  included=()
fi
cd "$(dirname "$0")/.."

run "format" cargo fmt --check
run "clippy, no features" cargo clippy --locked --no-default-features --all-targets -- --deny warnings
run "clippy, all features" cargo clippy --locked --all-features --all-targets -- --deny warnings
run "tests, no features" cargo test --locked --no-fail-fast --no-default-features
# Not --all-targets: that would run the benchmarks. Doc tests are a step of their own, as --include-ignored would also
# run examples marked `ignore`.
run "tests, all features" cargo test --locked --no-fail-fast --all-features --lib --bins --tests "${included[@]}"
run "doc tests" cargo test --locked --all-features --doc

step="count of tests"
grep -q '^test result: ok. [1-9]' "$summary" || fail "no test ran at all"
