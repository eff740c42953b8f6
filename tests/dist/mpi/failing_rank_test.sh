#!/usr/bin/env bash
# A job in which one rank fails ends soon, with that rank's message and exit code.
# failing_rank_test.sh PROGRAM LAUNCHER... : LAUNCHER starts three ranks of the program that follows it.
set -u
program=$1
shift
output=$(mktemp)
trap 'rm -f "$output"' EXIT

# expect MODE EXIT_CODE TEXT
expect() {
  timeout 60 "${@:4}" "$program" "$1" >"$output" 2>&1
  local code=$?
  if [ "$code" != "$2" ] || ! grep -q -- "$3" "$output"; then
    cat "$output"
    echo "$1: exit code $code instead of $2, or no line with '$3'"
    exit 1
  fi
}

expect report 43 "rank 1 on .*: error: the gradient of step 7 is not a number" "$@"
expect unwind 1 "" "$@"
expect staged 43 "rank 1 on .*: error: the gradient of step 7 is not a number" "$@"
echo "all jobs ended with the failing rank's code"
