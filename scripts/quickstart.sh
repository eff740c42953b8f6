#!/usr/bin/env bash
# From a fresh clone to a trained model: builds the programs, makes a data set out of an English dictionary, trains a
# tiny CoLA model on two MPI ranks, stops it half-way as a cluster would, resumes it, trains its full-rank twin for as
# many steps, and compares the two.
#
# usage: scripts/quickstart.sh
#
# Takes at most ten minutes on two cores. Each stage is skipped when its result is there already, so that running it
# again is quick and safe; to do a stage again, delete what it made: data/tiny, runs/cola-tiny or runs/full-tiny.
# Writes only to build/, data/ and runs/. Needs root or sudo only where a Debian package is missing.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

case "${1:-}" in
  "") ;;
  -h | --help) print_help; exit ;;
  *) fail "takes no arguments (see --help)" ;;
esac

cd "$root"
bin=build/release/bin
data=data/tiny
text=$data/text
ranks=2
run=runs/cola-tiny
twin=runs/full-tiny
tiny=(--config configs/tiny.yaml --set "run.dir=$run")
full=(--config configs/tiny.yaml --set "run.dir=$twin" --set run.name=full-tiny --set model.projection=full)

build_programs() {
  say "Building the programs into $bin"
  cmake --preset release
  cmake --build --preset release --target cola_dist cola_data cola_ckpt cola_generate
}

# Prints where the dictionary's text lies. Its package would also start a dictionary server, so it is unpacked only.
find_dictionary() {
  local installed=/usr/share/dictd/gcide.dict.dz
  if [ -e "$installed" ]; then
    echo "$installed"
    return
  fi
  command -v dpkg-deb >/dev/null || fail "no Debian system to take English text from: put some, as .txt, into $text"
  local folder=$root/$data/package
  if [ ! -e "$folder$installed" ]; then
    mkdir -p "$folder"
    (
      cd "$folder"
      apt-get download -qq dict-gcide >&2 || { as_root apt-get update -qq && apt-get download -qq dict-gcide; } >&2
      dpkg-deb --extract dict-gcide_*.deb .
    )
  fi
  echo "$folder$installed"
}

# The Collaborative International Dictionary of English as plain prose, in eight files that ranks can share: one entry
# a line, an empty line between two.
make_text() {
  [ ! -e "$text" ] || return 0
  say "Taking English text from the package dict-gcide (GPL) into $text"
  local dictionary
  mkdir -p "$text.part"
  dictionary=$(find_dictionary)
  # A line that begins with a headword and its \pronunciation\ opens an entry; what stands before the first is no prose.
  gzip -dc <"$dictionary" |
    awk '/^[^ ].*\\/ { if (entry) print entry "\n"; entry = $0; next }
         entry       { sub(/^ +/, ""); if ($0) entry = entry " " $0 }
         END         { print entry }' |
    sed -E -e 's/ *\\[^\\]*\\ *,?/, /g' \
      -e 's/\[[^]A-Za-z]+([A-Za-z])\]/\1/g; s/\[([A-Za-z]{2})\]/\1/g; s/ *\[[^]]*\]//g' \
      -e 's/[{}`]//g; s/  +/ /g; s/ ([.,;])/\1/g' >"$text.part/all" # accents, sources, markup
  split --number=l/8 --numeric-suffixes --additional-suffix=.txt "$text.part/all" "$text.part/dictionary-"
  rm "$text.part/all"
  mv "$text.part" "$text"
}

make_tokenizer() {
  [ ! -e "$data/tokenizer.model" ] || return 0
  say "Training a SentencePiece model of 512 pieces"
  spm_train --input="$(echo "$text"/*.txt | tr " " ,)" --model_prefix="$data/tokenizer.part" \
    --model_type=bpe --vocab_size=512 --byte_fallback --input_sentence_size=50000 --shuffle_input_sentence=true \
    --random_seed=42 --minloglevel=2
  mv "$data/tokenizer.part.vocab" "$data/tokenizer.vocab"
  mv "$data/tokenizer.part.model" "$data/tokenizer.model"
}

tokenize() {
  ! compgen -G "$data/validation-*.h5" >/dev/null || return 0
  say "Tokenizing on $ranks ranks"
  mpirun -n "$ranks" "$bin/cola_data" tokenize --input "$text"/*.txt --output "$data" \
    --tokenizer "$data/tokenizer.model" --force
}

# The number of steps that the configuration asks for.
total_steps() { "$bin/cola_dist" "${tiny[@]}" --print-config | sed -n 's/.*total_steps: *\([0-9]*\).*/\1/p'; }

is_finished() { [ -e "$(printf '%s/checkpoints/step-%08d/manifest.json' "$1" "$steps")" ]; }

last_step() { { tail -n 1 "$1/metrics.jsonl" 2>/dev/null || true; } | sed -n 's/.*"step":\([0-9]*\).*/\1/p'; }

# Starts the tiny run and, half-way, asks it to stop, as Slurm or PBS do before the time limit.
train_half() {
  say "Training CoLA on $ranks ranks, to be stopped after half of $steps steps"
  "${launch[@]}" "${tiny[@]}" --resume auto </dev/null &
  local job=$! reached code=0
  until reached=$(last_step "$run") && [ "${reached:-0}" -ge $((steps / 2)) ] || ! kill -0 "$job" 2>/dev/null; do
    sleep 0.2
  done
  kill -USR1 "$job" 2>/dev/null || true # mpirun hands this signal on to the ranks
  wait "$job" || code=$?
  [ "$code" -eq 75 ] || [ "$code" -eq 0 ] || fail "training failed with exit code $code"
  say "Exit code $code: stopped with a committed checkpoint"
}

train_cola() {
  is_finished "$run" && return
  [ -e "$run/metrics.jsonl" ] || train_half
  say "Resuming CoLA from its newest checkpoint"
  "${launch[@]}" "${tiny[@]}" --resume auto </dev/null
}

train_full() {
  is_finished "$twin" && return
  say "Training the full-rank twin for as many steps"
  "${launch[@]}" "${full[@]}" --resume auto </dev/null
}

report() {
  local checkpoint
  checkpoint=$(printf '%s/checkpoints/step-%08d' "$run" "$steps")
  say "A few words from the CoLA model"
  "$bin/cola_generate" --checkpoint "$checkpoint" --tokenizer "$data/tokenizer.model" --prompt "A small boat"
  say "CoLA and its full-rank twin"
  python3 scripts/plot_metrics.py "$run" "$twin" --output runs/tiny.svg --table
  cat <<END

training curves    runs/tiny.svg
metrics            $run/metrics.jsonl, $twin/metrics.jsonl
checkpoints        $run/checkpoints, $twin/checkpoints
tokens             $data/train-*.h5, $data/validation-*.h5
END
}

"$root/scripts/install-packages.sh"
prepare_mpi
prepare_ccache
build_programs
make_text
make_tokenizer
tokenize

steps=$(total_steps)
threads=$(($(nproc) / ranks))
# An exit code of 75 is as it should be: mpirun need not explain it. That of Open MPI 5 does so anyway.
export OMPI_MCA_orte_execute_quiet=1
launch=(mpirun --bind-to none -n "$ranks" "$bin/cola_dist" --set "train.threads=$((threads > 0 ? threads : 1))")
train_cola
train_full
report
