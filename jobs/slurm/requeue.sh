# shellcheck shell=bash
# What the Slurm jobs share: training across as many time limits and lost nodes as it takes. Sourced, never run.

# shellcheck source=jobs/progress.sh
. "${BASH_SOURCE[0]%/*}/../progress.sh"

# Newer versions of Slurm tell a job its end themselves; the program stops before it, whether or not a signal comes. A
# job without a limit has none.
export_job_end() {
  [ -z "${SLURM_JOB_END_TIME:-}" ] || return 0
  local end pause
  for pause in 2 5 0; do # the controller may be busy
    if end=$(squeue --noheader --jobs="$SLURM_JOB_ID" --format=%e); then
      ! end=$(date --date="$end" +%s 2>/dev/null) || export SLURM_JOB_END_TIME=$end
      return 0
    fi
    sleep "$pause"
  done
  echo "squeue does not answer: the job's end is not known, and the run stops when --signal warns it"
}

# Whether a step that does nothing runs within that many seconds.
# usage: trivial_step SECONDS SRUN_ARGUMENT...
trivial_step() {
  # srun takes a job's --cpus-per-gpu from its environment, and refuses it beside --cpus-per-task.
  timeout "$1" env -u SLURM_CPUS_PER_GPU srun --overlap --cpus-per-task=1 --mpi=none "${@:2}" true >/dev/null 2>&1
}

# Whether a node of the job no longer answers. Where not even this one runs a step, srun is what fails, and nothing is
# known of the nodes.
has_lost_a_node() {
  ! trivial_step "$((60 + SLURM_JOB_NUM_NODES / 10))" --ntasks-per-node=1 --ntasks="$SLURM_JOB_NUM_NODES" &&
    trivial_step 60 --nodes=1 --ntasks=1 --nodelist="$SLURMD_NODENAME"
}

may_be_requeued=yes

# Says so at once where Slurm may not take the job back into the queue: sbatch can forbid it.
look_whether_it_may_be_requeued() {
  [[ "$(scontrol show job "$SLURM_JOB_ID" 2>/dev/null)" =~ [[:space:]]Requeue=0[[:space:]] ]] || return 0
  may_be_requeued=no
  echo "this job may not be requeued (sbatch --no-requeue): when it ends early, submit it again to resume"
}

# Puts the job back into the queue, where it keeps its number, and ends. Slurm ends the script itself on the way.
# usage: requeue MOST_RESTARTS REASON
requeue() {
  if [ "${SLURM_RESTART_COUNT:-0}" -ge "$1" ]; then
    echo "$2; restarted $1 times already, so the job ends here: submit it again to resume"
    exit 75
  fi
  if [ "$may_be_requeued" = no ]; then
    echo "$2; this job may not be requeued: submit it again to resume"
    exit 75
  fi
  echo "$2: back into the queue"
  local pause
  for pause in 15 30 0; do # the controller may be starting again
    if scontrol requeue "$SLURM_JOB_ID"; then
      sleep 60
      exit 75
    fi
    sleep "$pause"
  done
  echo "this job cannot be requeued (see above): submit it again to resume"
  exit 75
}

# Ranks do not end at the same moment. With --kill-on-bad-exit the first one's 75 would get the others killed, and srun
# return their signal in its place; where one rank dies alone, the others follow after this wait.
# Newer versions of srun do not know of sbatch's --cpus-per-task; where there was none, none is given.
# usage: start_ranks SRUN_ARGUMENT... PROGRAM ARGUMENT...
start_ranks() {
  srun --kill-on-bad-exit=0 --wait=60 ${SLURM_CPUS_PER_TASK:+--cpus-per-task="$SLURM_CPUS_PER_TASK"} "$@"
}

# Runs the program on all ranks, and requeues the job if it stopped early (exit code 75), lost a node, or failed after it
# had made progress. Any other end of the program ends the job.
# usage: train MOST_RESTARTS SRUN_ARGUMENT... -- PROGRAM ARGUMENT...
train() {
  local most_restarts=$1 code=0 run commits record reason
  local -a launch=()
  shift
  while [ "$1" != -- ]; do launch+=("$1"); shift; done
  shift
  [[ $most_restarts =~ ^[0-9]+$ ]] || { echo "most_restarts is '$most_restarts', not a number"; exit 2; }
  export_job_end
  echo "job $SLURM_JOB_ID on $SLURM_JOB_NODELIST, restart ${SLURM_RESTART_COUNT:-0} of at most $most_restarts, $(date)"
  look_whether_it_may_be_requeued
  run=$(run_directory_of "$@" 2>/dev/null)
  [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ] || forget_failures "$run"
  commits=$(commits_of "$run") record=$(record_of "$run")
  start_ranks "${launch[@]}" "$@" || code=$?
  if died_before_the_run "$code" "$run" "$record" && ! has_lost_a_node; then
    echo "the ranks died (exit code $code) before the run began: started once more"
    code=0
    start_ranks "${launch[@]}" "$@" || code=$?
  fi
  case $code in
    0 | 75) forget_failures "$run" ;;&
    75) requeue "$most_restarts" "stopped early with a committed checkpoint" ;;
    0 | 2) ;; # done, or not to be mended by another start
    *)
      ! reason=$(is_worth_another_start "$run" "$commits") || requeue "$most_restarts" "failed (exit code $code) $reason"
      ! has_lost_a_node || requeue "$most_restarts" "lost a node"
      ;;
  esac
  exit "$code"
}
