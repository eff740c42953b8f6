# shellcheck shell=bash
# What the jobs of both schedulers share: whether a start that failed is worth another. Sourced, never run.

# So many starts may fail one after another, each after it has committed a checkpoint: what goes wrong each time is no
# accident. One that has committed none would fail at the same step again, as with a loss that is not finite.
most_failures=3

# The run directory of a command line; nothing where that cannot be told.
# usage: run_directory_of PROGRAM ARGUMENT...
run_directory_of() { "$@" --print-config | sed -n 's/^  dir: "\?\([^"]*\)"\?$/\1/p'; }

# The committed checkpoints of a run directory, a line each, with the time of the commit.
# usage: commits_of RUN_DIRECTORY
commits_of() { [ -z "$1" ] || stat --format='%n %i %y' "$1"/checkpoints/step-*/manifest.json 2>/dev/null; }

# Whether a start that failed has committed a checkpoint, and not too many have failed in a row. Counts it.
# usage: is_worth_another_start RUN_DIRECTORY COMMITS_BEFORE
is_worth_another_start() {
  local failures=0 new
  new=$(commits_of "$1" | grep -vxF -e "$2")
  [ -n "$new" ] || return
  [ ! -e "$1/failed_starts" ] || read -r failures <"$1/failed_starts"
  [[ $failures =~ ^[0-9]+$ ]] || failures=0
  [ "$failures" -lt "$most_failures" ] && echo $((failures + 1)) >"$1/failed_starts"
}

# After a start that did not fail, and where a person has submitted the job.
# usage: forget_failures RUN_DIRECTORY
forget_failures() { [ -z "$1" ] || rm -f "$1/failed_starts"; }
