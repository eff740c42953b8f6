#!/usr/bin/env bash
# cola_ckpt from the outside, on the checkpoints of two real runs: one of 1 rank, one of 3.
#   cola_ckpt_test.sh BIN_DIR
set -u
programs=$(cd "$1" && pwd)
bin=$programs/cola_ckpt
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
failures=0

fail() {
  echo "FAILED: $*" >&2
  [ -s stdout ] && sed 's/^/  stdout: /' stdout >&2
  [ -s stderr ] && sed 's/^/  stderr: /' stderr >&2
  failures=$((failures + 1))
}
# expect CODE ARGUMENTS...: runs the program and checks its exit code; where it is 2, that one line says why.
expect() {
  local code=$1
  shift
  "$bin" "$@" >stdout 2>stderr
  local got=$?
  [ $got -eq "$code" ] || fail "exit code $got instead of $code: cola_ckpt $*"
  [ "$code" -ne 2 ] || [ "$(wc -l <stderr)" -eq 1 ] || fail "not one line on stderr: cola_ckpt $*"
}
says() { grep -Eq -- "$1" stdout || fail "no '$1' on stdout"; }
complains() { grep -Eq -- "$1" stderr || fail "no '$1' on stderr"; }
# flip FILE BYTE: changes one bit of a file.
flip() {
  local old
  old=$(od -An -tu1 -j "$2" -N 1 "$1")
  # shellcheck disable=SC2059
  printf "\\x$(printf %x $((old ^ 4)))" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

# Two runs of the same start: what 3 ranks save is cut in other places than what 1 rank saves.
for i in $(seq 1 400); do printf 'Paragraph %d tells of %d things.\n\n' "$i" $((i * i)); done >text.txt
"$programs/cola_data" tokenize --input text.txt --output data --bytes --document-bytes 500 >/dev/null || exit 1
cat >tiny.yaml <<'YAML'
run: {name: tiny, dir: one, seed: 7}
model: {vocab_size: 258, hidden_size: 32, intermediate_size: 45, num_hidden_layers: 2, num_attention_heads: 4,
        num_key_value_heads: 2, max_position_embeddings: 64, projection: cola, rank: 12, gate_activation: true}
data: {train: [data/train-*.h5], validation: [data/validation-*.h5], sequence_length: 32}
optimizer: {lr: 3.0e-3}
schedule: {total_steps: 4, warmup_steps: 1}
train: {global_batch: 6, micro_batch: 2, precision: fp32, device: cpu, threads: 1}
checkpoint: {every: 2, keep: 10}
evaluation: {every: 0, tokens: 1024}
YAML
"$programs/cola_dist" --config tiny.yaml >log 2>&1 || { cat log; exit 1; }
mpirun --oversubscribe -n 3 "$programs/cola_dist" --config tiny.yaml --set run.dir=three >log 2>&1 || { cat log; exit 1; }
one=one/checkpoints three=three/checkpoints

# Help, version, and lines that cannot be.
expect 0 --help
for word in list show verify diff export import; do says "cola_ckpt $word"; done
expect 0 --version
says '^cola_ckpt [0-9]+\.[0-9]+\.[0-9]+$'
expect 2
expect 2 lost one
complains 'lost: no such command'
expect 2 list
expect 2 list one three
expect 2 diff one
expect 2 show --colour one
expect 2 export --format gguf one weights
complains 'known formats are hdf5 and safetensors'
expect 2 export one
expect 2 import --shards many weights.h5 new
expect 2 import --shards -1 weights.h5 new
for command in list show verify; do
  expect 1 $command nowhere
  complains 'nowhere: no such folder'
done

# list: of a run or its checkpoints folder, the unfinished included.
mkdir $one/step-00000009
expect 0 list one
says '^step-00000002 .* 1  committed$'
says '^step-00000004 .* 1  committed$'
says '^step-00000009 .*incomplete'
expect 0 list $three
says '^step-00000004 .* 3  committed$'
expect 0 list data
says 'no checkpoints'

# show: a run means its newest committed checkpoint.
expect 0 show one
says '^step +4$'
says 'CoLA of rank 12, 2 layers, hidden size 32, vocabulary 258'
says '^model.layers.1.mlp.gate_proj.cola_b +\[45, 12\] +[1-9]'
[ "$(grep -c '^model.layers.0' stdout)" -eq 16 ] || fail "a block has 14 factors and 2 norms"
expect 0 show --config one
cmp -s stdout one/config.yaml || fail "the configuration is not the run's"
expect 1 show $one/step-00000009
complains 'never committed'

# diff: identical, different, another number of shards.
expect 0 diff one $one/step-00000004
says 'identical'
expect 1 diff $one/step-00000002 $one/step-00000004
says '^lm_head.weight weights: [0-9]+ elements differ, by up to [0-9.e-]+$'
says '^model.norm.weight exp_avg_sq: '

# export and import: the weights return as they were, across numbers of shards.
expect 0 export three weights.h5
expect 0 import weights.h5 back
says '^back/step-00000000$'
expect 0 import --shards 5 weights.h5 back5
expect 0 verify back back5
expect 0 diff back back5
says 'identical'
expect 1 diff three back
if grep -q ' weights: ' stdout; then fail "weights differ after export and import"; fi
expect 0 import --like one weights.h5 like
expect 0 diff like back
expect 1 import weights.h5 back
complains 'committed checkpoint already'
expect 0 verify back
expect 0 export --format safetensors three weights.safetensors
[ "$(head -c 100000 weights.safetensors | grep -ac '"lm_head.weight":{"dtype":"F32","shape":\[258,32\]')" -eq 1 ] ||
  fail "no safetensors header"
expect 1 import text.txt none
expect 1 export one nowhere/weights.h5
complains 'nowhere/weights.h5'
if command -v h5dump >/dev/null; then
  h5dump -H weights.h5 >stdout
  says 'DATASET "model.layers.0.self_attn.k_proj.cola_b"'
  h5dump -d /exp_avg -s 0 -c 4 $three/step-00000004/shard-00002.h5 >stdout || fail "h5dump cannot read a shard"
fi

# A run goes on from imported weights.
"$programs/cola_dist" --config tiny.yaml --set run.dir=again --resume back/step-00000000 >stdout 2>stderr ||
  fail "cola_dist cannot start from imported weights"

# verify: every kind of damage is found, and the file is named.
expect 0 verify one three $one/step-00000002
[ "$(grep -c ': good: ' stdout)" -eq 3 ] || fail "three good checkpoints expected"
damaged=$three/step-00000002
for file in shard-00000.h5 shard-00001.h5 shard-00002.h5 manifest.json; do
  cp "$damaged/$file" whole
  size=$(wc -c <whole)
  for byte in 0 $((RANDOM % size)) $((RANDOM % size)) $((size / 2)) $((size - 1)); do
    flip "$damaged/$file" "$byte"
    expect 1 verify one "$damaged"
    complains "$file: damaged|$file: no "
    says ': good: '
    cp whole "$damaged/$file"
  done
  truncate -s $((size - 1 - RANDOM % 1000)) "$damaged/$file"
  expect 1 verify "$damaged"
  expect 0 list three
  says "^step-00000002 .*$file"
  cp whole "$damaged/$file"
done
rm "$damaged/shard-00001.h5"
expect 1 verify "$damaged"
complains 'shard-00001.h5: cannot open: No such file'

[ $failures -eq 0 ] && echo "cola_ckpt: all checks passed"
exit $((failures > 0))
