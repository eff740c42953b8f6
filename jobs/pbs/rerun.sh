# shellcheck shell=bash
# What the PBS jobs share: training across as many time limits as it takes. Sourced, never run.

# shellcheck source=jobs/progress.sh
. "${BASH_SOURCE[0]%/*}/../progress.sh"

# One log over all restarts, called NAME-NUMBER.log with the number of the first of these jobs: others may have its name.
open_log() {
  export COLA_FIRST_JOB=${COLA_FIRST_JOB:-${PBS_JOBID%%.*}}
  exec >>"$PBS_JOBNAME-$COLA_FIRST_JOB.log" 2>&1
}

# What the server says of this job: "    NAME = VALUE" lines. A busy server is asked again; nothing and false where none
# answers.
describe_job() {
  local attempt
  command -v qstat >/dev/null || return
  for attempt in 1 2 3; do
    timeout 20 qstat -f "$PBS_JOBID" && return
    sleep "$attempt"
  done
  return 1
}

# usage: field NAME <<<"$DESCRIPTION"
field() { sed -n "s/^ *$1 = *//p"; }

# Seconds until a limit, [[[DAYS:]HOURS:]MINUTES:]SECONDS from when this script began, and at least one; nothing for a text
# that is no limit.
seconds_left_of() {
  [[ $1 =~ ^[0-9][0-9:.]*$ ]] || return 0
  awk -v passed="$SECONDS" '{ n = split($1, part, ":")
                              s = part[n] + 60 * part[n - 1] + 3600 * part[n - 2] + 86400 * part[n - 3] - passed
                              print (s > 1 ? int(s) : 1) }' <<<"$1"
}

# Those of the named variables that are set, with commas between, for qsub -v: it refuses the names of others.
set_ones_of() {
  local name list=
  for name; do [ -z "${!name+set}" ] || list+=,$name; done
  echo "${list#,}"
}

# Submits this script once more, to start when this job has ended: qrerun would keep the job, but is for operators.
# usage: run_again MOST_RESTARTS SCRIPT REASON
run_again() {
  local restarts=$((COLA_RESTARTS + 1))
  if [ "$restarts" -gt "$1" ]; then
    echo "$3; restarted $1 times already, so the job ends here: submit it again to resume"
    exit 75
  fi
  export COLA_RESTARTS=$restarts
  local variables
  variables=$(set_ones_of CONFIGURATION SETTINGS RESUME SLINGSHOT_NCCL SLINGSHOT_PLUGIN COLA_RESTARTS COLA_MOST_RESTARTS \
    COLA_FIRST_JOB COLA_JOBS COLA_DIST)
  local pause
  for pause in 10 0; do # the server may be busy
    if qsub -W depend=afterany:"$PBS_JOBID" -N "$PBS_JOBNAME" -v "$variables" "$2"; then
      echo "$3: submitted again as restart $restarts"
      exit 75
    fi
    sleep "$pause"
  done
  qrerun "$PBS_JOBID" || echo "neither qsub nor qrerun works here: submit the job again to resume"
  exit 75
}

# Runs a command that SIGTERM does not reach. PBS sends it to every process of a job, and Open MPI's mpirun would kill the
# ranks within two seconds of it, whether or not they have saved. It gives ranks back their signals.
# usage: shielded COMMAND...
shielded() {
  if env --block-signal=TERM true 2>/dev/null; then
    exec env --block-signal=TERM "$@"
  elif perl -MPOSIX=:signal_h -e '' 2>/dev/null; then # env does it from coreutils 8.31 on
    exec perl -MPOSIX=:signal_h -e 'sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGTERM)); exec { $ARGV[0] } @ARGV' "$@"
  fi
  exec "$@"
}

# Runs the launcher, and returns its exit code. SIGTERM, which qdel sends, must not end the script before the ranks have
# saved; it sets told_to_end, and the launcher hands SIGUSR1 on to ranks on all nodes.
# usage: launch_and_wait LAUNCHER...
launch_and_wait() {
  local code=0 launcher=
  trap 'told_to_end=yes; [ -z "$launcher" ] || kill -USR1 "$launcher" 2>/dev/null' TERM
  shielded "$@" &
  launcher=$!
  wait "$launcher" || code=$?
  while kill -0 "$launcher" 2>/dev/null; do # a signal came between
    code=0
    wait "$launcher" || code=$?
  done
  return "$code"
}

# Runs the program on all ranks, and sees to the next job if it stopped early (exit code 75), or failed after it had made
# progress, by itself and not because the job is to end. Any other end of the program ends the chain. CONFIGURATION is the
# run's file, SETTINGS are "section.key=value ..." for it, RESUME is a checkpoint's folder to start from.
# usage: train MOST_RESTARTS SCRIPT LAUNCHER... -- PROGRAM ARGUMENT...
train() {
  local most_restarts=$1 script=$2 code=0 run commits record description limit left starts setting reason told_to_end=no
  local -a launch=() command=() wanted=()
  shift 2
  while [ "$1" != -- ]; do launch+=("$1"); shift; done
  shift
  [[ $most_restarts =~ ^[0-9]+$ ]] || { echo "most_restarts is '$most_restarts', not a number"; exit 2; }
  [ -z "${PBS_ARRAY_INDEX:-}" ] || { echo "a run cannot be shared by a job array: submit one job a configuration"; exit 2; }
  # The limit is not in a job's environment, but the server knows it, and this script tells what was asked for.
  if description=$(describe_job); then
    limit=$(field 'Resource_List\.walltime' <<<"$description")
  else
    limit=$(sed -n 's/^#PBS .*[ ,]walltime=\([0-9:]*\).*/\1/p' "$script")
    echo "qstat does not answer: the time limit is taken to be that of $script, ${limit:-which tells none}"
  fi
  left=$(seconds_left_of "$limit")
  starts=$(field run_count <<<"$description") # PBS starts a job again after it lost a node, and where qrerun asked for it
  export COLA_RESTARTS=$((${COLA_RESTARTS:-0} + ${starts:-1} - 1))
  unset COLA_JOB_END_TIME # of another job, which this one was submitted in
  [ -z "$left" ] || export COLA_JOB_END_TIME=$(($(date +%s) + left))
  command=("$@" --config "$CONFIGURATION")
  [ -z "${RESUME:-}" ] || command+=(--resume "$RESUME")
  read -ra wanted <<<"${SETTINGS:-}"
  for setting in "${wanted[@]}"; do command+=(--set "$setting"); done
  run=$(run_directory_of "${command[@]}" 2>/dev/null)
  [ "$COLA_RESTARTS" -gt 0 ] || forget_failures "$run"
  commits=$(commits_of "$run") record=$(record_of "$run")
  # PBS sets it to the cores of a chunk, which several ranks share; each rank knows the cores it is bound to.
  unset OMP_NUM_THREADS
  echo "job $PBS_JOBID, restart $COLA_RESTARTS of at most $most_restarts, ${left:-unknown} s left, $(date)"
  launch_and_wait "${launch[@]}" "${command[@]}" || code=$?
  if [ "$told_to_end" = no ] && died_before_the_run "$code" "$run" "$record"; then
    echo "the ranks died (exit code $code) before the run began: started once more"
    code=0
    launch_and_wait "${launch[@]}" "${command[@]}" || code=$?
  fi
  if [ "$told_to_end" = yes ]; then
    echo "told to end (SIGTERM), so this script submits nothing: unless PBS starts the job again, submit it to resume"
    exit "$code"
  fi
  case $code in
    0 | 75) forget_failures "$run" ;;&
    75) run_again "$most_restarts" "$script" "stopped early with a committed checkpoint" ;;
    0 | 2) ;; # done, or not to be mended by another start
    *)
      ! reason=$(is_worth_another_start "$run" "$commits") ||
        run_again "$most_restarts" "$script" "failed (exit code $code) $reason"
      ;;
  esac
  exit "$code"
}
