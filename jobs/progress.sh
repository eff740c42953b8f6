# shellcheck shell=bash
# What the jobs of both schedulers share: whether a start that failed is worth another. Sourced, never run.

# So many starts may fail one after another: what goes wrong each time is no accident.
most_failures=3

# The run directory of a command line; nothing where that cannot be told.
# usage: run_directory_of PROGRAM ARGUMENT...
run_directory_of() { "$@" --print-config | sed -n 's/^  dir: "\?\([^"]*\)"\?$/\1/p'; }

# The committed checkpoints of a run directory, a line each, with the time of the commit.
# usage: commits_of RUN_DIRECTORY
commits_of() { [ -z "$1" ] || stat --format='%n %i %y' "$1"/checkpoints/step-*/manifest.json 2>/dev/null; }

# How far a run's record reaches.
# usage: record_of RUN_DIRECTORY
record_of() { [ -z "$1" ] || stat --format='%i %s' "$1/metrics.jsonl" 2>/dev/null; }

# Whether a fault of the program, or of what it is linked with, ended the ranks before the run wrote a line: MPI itself may
# die where ranks start at very different times. That is no matter of the run, and the next start may well succeed.
# usage: died_before_the_run EXIT_CODE RUN_DIRECTORY RECORD_BEFORE
died_before_the_run() {
  case $1 in
    134 | 135 | 139) [ -n "$2" ] && [ "$(record_of "$2")" = "$3" ] ;; # SIGABRT, SIGBUS, SIGSEGV
    *) false ;;
  esac
}

# Whether a start that failed is worth another; says why. One that has committed a checkpoint is. One that has committed
# none may have met a bad node, or would fail at the same step again, as with a loss that is not finite: where there is a
# checkpoint to resume from, one such start is followed by another, two in a row are not. failed_starts holds how many have
# failed in a row, and how many of these, since the last commit, without one.
# usage: REASON=$(is_worth_another_start RUN_DIRECTORY COMMITS_BEFORE)
is_worth_another_start() {
  local failures=0 fruitless=0 commits
  commits=$(commits_of "$1")
  [ -n "$commits" ] || return
  [ ! -e "$1/failed_starts" ] || read -r failures fruitless <"$1/failed_starts"
  [[ $failures =~ ^[0-9]+$ ]] || failures=0
  [ "$failures" -lt "$most_failures" ] || return
  if grep -qvxF -e "$2" <<<"$commits"; then
    fruitless=0
    echo "after new checkpoints"
  elif [ "${fruitless:-0}" = 0 ]; then
    fruitless=1
    echo "before a new checkpoint, which one start in a row may"
  else
    return 1
  fi
  echo $((failures + 1)) "$fruitless" >"$1/failed_starts"
}

# After a start that did not fail, and where a person has submitted the job.
# usage: forget_failures RUN_DIRECTORY
forget_failures() { [ -z "$1" ] || rm -f "$1/failed_starts"; }
