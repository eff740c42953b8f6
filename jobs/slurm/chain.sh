#!/usr/bin/env bash
# A chain of jobs, each waiting for the one before: text to tokens, training, and a check of what came out. The training
# job requeues itself under its own number, so the check waits until it is really finished; if one fails, those behind it
# are cancelled.
#
# usage: jobs/slurm/chain.sh CONFIGURATION DATA_DIRECTORY ARGUMENT_OF_TOKENIZE...
#   jobs/slurm/chain.sh configs/1b.yaml "$SCRATCH/data/c4" --input c4/*.json.gz --tokenizer t5.model

# --- edit here -------------------------------------------------------------------------------------------------------
preparation=()   # what sbatch is told besides the scripts' own lines, for example --account=PROJECT
training=()      # settings, run.dir among them, go into the configuration, which the check reads
script=generic.sbatch   # what trains: one of the scripts in jobs/slurm
check=(--ntasks=1 --time=01:00:00 --job-name=cola-check --output=%x-%j.log)
programs=${COLA_PROGRAMS:-build/release/bin}
# --- end of what is to be edited -------------------------------------------------------------------------------------

set -euo pipefail
if [ $# -lt 3 ] || [ "${1#-}" != "$1" ]; then
  echo "usage: jobs/slurm/chain.sh CONFIGURATION DATA_DIRECTORY ARGUMENT_OF_TOKENIZE..." >&2
  exit 2
fi
configuration=$1 data=$2
shift 2
jobs=${COLA_JOBS:-jobs}
# shellcheck source=jobs/progress.sh
. "$jobs/progress.sh"
run=$(run_directory_of "$programs/cola_dist" --config "$configuration")

submit() { sbatch --parsable --kill-on-invalid-dep=yes "$@" | cut -d ';' -f 1; }
prepare=$(submit "${preparation[@]}" "$jobs/slurm/prepare-data.sbatch" "$data" "$@")
train=$(submit "${training[@]}" --dependency="afterok:$prepare" "$jobs/slurm/$script" "$configuration" \
  --set "data.train=[$data/train-*.h5]" --set "data.validation=[$data/validation-*.h5]")
printf -v verification '%q verify %q' "$programs/cola_ckpt" "$run" # a shell will read it
verify=$(submit "${check[@]}" --dependency="afterok:$train" --wrap "$verification")
echo "$prepare prepares the data, $train trains, $verify checks the checkpoints"
