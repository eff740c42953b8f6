# shellcheck shell=bash
# What the Slurm jobs share: training across as many time limits and lost nodes as it takes. Sourced, never run.

# Newer versions of Slurm tell a job its end themselves; the program stops before it, whether or not a signal comes.
export_job_end() {
  [ -z "${SLURM_JOB_END_TIME:-}" ] || return 0
  local end
  end=$(squeue --noheader --jobs="$SLURM_JOB_ID" --format=%e) && end=$(date --date="$end" +%s) || return 0
  export SLURM_JOB_END_TIME=$end
}

# Whether a step that does nothing runs within that many seconds.
# usage: trivial_step SECONDS SRUN_ARGUMENT...
trivial_step() { timeout "$1" srun --overlap --cpus-per-task=1 --mpi=none "${@:2}" true >/dev/null 2>&1; }

# Whether a node of the job no longer answers. Where not even this one runs a step, srun is what fails, and nothing is
# known of the nodes.
has_lost_a_node() {
  ! trivial_step "$((60 + SLURM_JOB_NUM_NODES / 10))" --ntasks-per-node=1 --ntasks="$SLURM_JOB_NUM_NODES" &&
    trivial_step 60 --nodes=1 --ntasks=1 --nodelist="$SLURMD_NODENAME"
}

# Puts the job back into the queue, where it keeps its number, and ends. Slurm ends the script itself on the way.
# usage: requeue MOST_RESTARTS REASON
requeue() {
  if [ "${SLURM_RESTART_COUNT:-0}" -ge "$1" ]; then
    echo "$2; restarted $1 times already, so the job ends here: submit it again to resume"
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

# Runs srun, and requeues the job if it stopped early (exit code 75) or lost a node. Any other exit code ends the job.
# usage: train MOST_RESTARTS SRUN_ARGUMENT...
train() {
  local most_restarts=$1 code=0
  shift
  [[ $most_restarts =~ ^[0-9]+$ ]] || { echo "most_restarts is '$most_restarts', not a number"; exit 2; }
  export_job_end
  echo "job $SLURM_JOB_ID on $SLURM_JOB_NODELIST, restart ${SLURM_RESTART_COUNT:-0} of at most $most_restarts, $(date)"
  # Ranks do not end at the same moment. With --kill-on-bad-exit the first one's 75 would get the others killed, and srun
  # return their signal in its place; where one rank dies alone, the others follow after this wait.
  srun --kill-on-bad-exit=0 --wait=60 "$@" || code=$?
  [ "$code" -ne 75 ] || requeue "$most_restarts" "stopped early with a committed checkpoint"
  [ "$code" -eq 0 ] || [ "$code" -eq 2 ] || ! has_lost_a_node || requeue "$most_restarts" "lost a node"
  exit "$code"
}
