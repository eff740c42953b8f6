#!/usr/bin/env bash
# cola_ckpt from the outside, on the checkpoints of two real runs: one of 1 rank, one of 3.
#   cola_ckpt_test.sh BIN_DIR
# shellcheck source=tests/apps/checks.sh
. "$(dirname "$0")/checks.sh" "$1" cola_ckpt

# Two runs of the same start: what 3 ranks save is cut in other places than what 1 rank saves.
for i in $(seq 1 400); do printf 'Paragraph %d tells of %d things.\n\n' "$i" $((i * i)); done >text.txt
"$programs/cola_data" tokenize --input text.txt --output data --bytes --document-bytes 500 >/dev/null || exit 1
tiny_run one >tiny.yaml
train tiny.yaml
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
refuse 'dtype fp16: is one of fp32 and bf16' export --dtype fp16 one weights.safetensors
refuse 'dtype bf16: HDF5 has no such type' export --dtype bf16 one weights.h5
[ -z "$(find . -maxdepth 1 -name 'weights*')" ] || fail "a refused export left something"
expect 2 export one
expect 2 import --shards many weights.h5 new
expect 2 import --shards -1 weights.h5 new
refuse 'unrecognised option' show --conf one
for words in "list nowhere" "show nowhere" "verify nowhere" "diff one nowhere" "diff nowhere one" "export nowhere out" \
  "show $one/step-00000001" "verify $one/step-00000001" "import --like nowhere text.txt new"; do
  # shellcheck disable=SC2086
  refuse '\(nowhere\|step-00000001\): no such folder' $words
done
refuse 'nowhere: no such file or folder' import nowhere new
refuse 'data: holds no committed checkpoint' show data
refuse 'data: holds no committed checkpoint' verify data
[ ! -e out ] && [ ! -e new ] || fail "something was made of nothing"

# list: of a run or its checkpoints folder, the unfinished included.
mkdir $one/step-00000009
expect 0 list one
says '^step-00000002 .* 1  committed$'
says '^step-00000004 .* 1  committed$'
says '^step-00000009 .*incomplete'
expect 0 list $three
says '^step-00000004 .* 3  committed$'
cp -r $one/step-00000002 $one/abandoned-step-00000002
expect 0 list one
says '^abandoned-step-00000002 .* set aside: resumed from only if --resume names it$'
rm -r $one/abandoned-step-00000002
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
refuse 'step-00000009: was never committed' show $one/step-00000009

# diff: identical, different, another number of shards.
expect 0 diff one $one/step-00000004
says 'identical'
expect 1 diff $one/step-00000002 $one/step-00000004
says '^lm_head.weight weights: [0-9]+ elements differ, by up to [0-9.e-]+$'
says '^model.norm.weight exp_avg_sq: '

# export and import: the weights return as they were, across numbers of shards.
expect 0 export three weights.h5
expect 0 import weights.h5 back
says '^back/checkpoints/step-00000000$'
says '^a run starts from it with --resume back/checkpoints/step-00000000$'
expect 0 import --shards 5 weights.h5 back5
expect 0 verify back back5
expect 0 diff back back5
says 'identical'
expect 1 diff three back
if grep -q ' weights: ' stdout; then fail "weights differ after export and import"; fi
expect 0 import --like one weights.h5 like
expect 0 diff like back
refuse 'back/checkpoints/step-00000000: is a committed checkpoint already' import weights.h5 back
expect 0 verify back
# A checkpoint or run is imported as its export would be.
for source in three $three/ $three/step-00000004; do
  rm -rf forked
  expect 0 import --shards 2 "$source" forked
  says '^forked/checkpoints/step-00000000$'
  expect 0 verify forked
  expect 0 diff back forked
done
tokenizer_in() { grep -o '"tokenizer":"[^"]*"' "$1/checkpoints/step-00000000/manifest.json"; }
[ "$(tokenizer_in forked)" = '"tokenizer":"bytes"' ] || fail "the tokenizer was forgotten: $(tokenizer_in forked)"
expect 0 show --config forked
cmp -s stdout three/config.yaml || fail "the model is not the run's"
mkdir -p empty/checkpoints
refuse 'step-00000009: was never committed' import $one/step-00000009 none
refuse 'empty: holds no committed checkpoint' import empty none
[ ! -e none ] || fail "something was imported from nothing"
expect 0 export --format safetensors three folder
[ "$(head -c 100000 folder/model.safetensors | grep -ac '"lm_head.weight":{"dtype":"F32","shape":\[258,32\]')" -eq 1 ] ||
  fail "no safetensors header"
expect 1 import text.txt none
expect 1 export one nowhere/weights.h5
complains 'nowhere/weights.h5'
h5dump -H weights.h5 >stdout || fail "h5dump cannot read an export"
says 'DATASET "model.layers.0.self_attn.k_proj.cola_b"'
h5dump -d /exp_avg -s 0 -c 4 $three/step-00000004/shard-00002.h5 >stdout || fail "h5dump cannot read a shard"

# export replaces nothing unasked, and leaves nothing half-written.
before=$(cksum weights.h5 text.txt)
refuse 'weights.h5: is there already' export three weights.h5
refuse 'text.txt: is a file; name the folder' export --force --format safetensors three text.txt
before_folder=$(cksum folder/*)
refuse 'folder: is there already' export --format safetensors three folder
[ "$before_folder" = "$(cksum folder/*)" ] || fail "a refused export changed a folder"
touch folder/notes
expect 0 export --force --format safetensors three folder
[ "$(ls folder)" = "$(printf '%s\n' config.json generation_config.json model.safetensors modeling_cola.py notes tokenizer.json \
  tokenizer_config.json)" ] || fail "the folder holds $(ls folder)"
# A tokenizer goes with the folder: the one of the training data, which fits the model.
spm_train --input=text.txt --model_prefix=pieces --model_type=bpe --byte_fallback --vocab_size=300 --hard_vocab_limit=false \
  --minloglevel=2 >log 2>&1 || { cat log; exit 1; }
refuse 'nowhere.model' export --format safetensors --tokenizer nowhere.model three tokenized
refuse "is 'pieces.model .*trained with 'bytes'" export --format safetensors --tokenizer pieces.model three tokenized
refuse "more than the model's vocab_size of 258" export --format safetensors --tokenizer pieces.model like tokenized
refuse 'give either' export --format safetensors --tokenizer pieces.model --bytes like tokenized
refuse 'only a folder' export --format safetensors --bytes like tokenized.safetensors
[ ! -e tokenized ] || fail "a refused export left a folder"
expect 0 export --format safetensors like untokenized
says 'untokenized: without a tokenizer; --tokenizer MODEL puts it there'
expect 0 export --format safetensors --bytes like tokenized
cmp folder/tokenizer.json tokenized/tokenizer.json || fail "another tokenizer of bytes"
expect 0 export --force --format safetensors like tokenized
[ ! -e tokenized/tokenizer.json ] && [ ! -e tokenized/generation_config.json ] || fail "a tokenizer of other weights stayed"
expect 0 export --format safetensors three alone.safetensors
cmp folder/model.safetensors alone.safetensors || fail "a file alone differs from the one in a folder"
refuse 'alone.safetensors: is there already' export --format safetensors three alone.safetensors
[ "$before" = "$(cksum weights.h5 text.txt)" ] || fail "a refused export changed a file"
expect 0 export --force three weights.h5
[ "$before" = "$(cksum weights.h5 text.txt)" ] || fail "the same export made another file"
refuse 'data: is a folder' export --force three data
for format in hdf5 safetensors; do
  (
    ulimit -f 64
    "$bin" export --format $format three limited
  ) >stdout 2>stderr
  [ $? -eq 1 ] || fail "a full disk must end in exit code 1"
  complains 'limited(/model.safetensors)?.tmp: cannot .*: File too large'
  [ -z "$(find . -maxdepth 1 -name 'limited*')" ] || fail "a full disk left $(echo limited*)"
done

# import: an export is checked, what an earlier try left goes, and a run that is at work is let alone.
cp weights.h5 flipped.h5
flip flipped.h5 $(($(wc -c <flipped.h5) / 2))
expect 1 import flipped.h5 damaged
complains 'flipped.h5: .* is damaged or was changed'
[ ! -e damaged ] || fail "a failed import left $(find damaged)"
expect 0 import --no-verify flipped.h5 damaged
(
  ulimit -f 64
  "$bin" import weights.h5 limited
) >stdout 2>stderr
[ $? -eq 1 ] || fail "a full disk must end in exit code 1"
complains 'limited/checkpoints/step-00000000/shard-00000.h5.tmp: cannot .*: File too large'
[ ! -e limited ] || fail "a full disk left $(find limited)"
tried=tried/checkpoints/step-00000000
mkdir -p $tried
touch $tried/shard-00007.h5
expect 0 import weights.h5 tried
[ "$(ls $tried)" = "$(ls back/checkpoints/step-00000000)" ] || fail "an earlier try's files stay: $(ls $tried)"
mkdir busy
python3 -c 'import fcntl, time
lock = open("busy/lock", "w")
fcntl.lockf(lock, fcntl.LOCK_EX)
open("locked", "w")
time.sleep(60)' &
holder=$!
while [ ! -e locked ]; do sleep 0.05; done
for directory in busy busy/ busy/checkpoints busy/checkpoints/ ./busy/../busy/checkpoints/.; do
  refuse 'busy/\?: another job is working in it' import weights.h5 $directory
done
kill $holder
[ ! -e busy/checkpoints ] || fail "something was imported into a run at work"

# A run goes on from imported weights; nothing was trained yet, so that the samples may be others.
train_from() {
  "$programs/cola_dist" --config tiny.yaml --set run.dir="$1" --resume back/checkpoints/step-00000000 "${@:2}" >stdout 2>stderr ||
    fail "cola_dist cannot start from imported weights: $*"
}
train_from again
# Nothing need be said of them in the run directory that they were imported into, however it was named.
refuse 'import into has an empty name' import weights.h5 ""
refuse 'step-00000000: is named as a single checkpoint' import weights.h5 begun/checkpoints/step-00000000
for run in begun begun2; do
  directory=$run
  [ $run = begun ] || directory=$run/checkpoints/
  expect 0 import weights.h5 $directory
  says "^$run/checkpoints/step-00000000\$"
  "$programs/cola_dist" --config tiny.yaml --set run.dir=$run >stdout 2>stderr || fail "cola_dist cannot start from $run"
  says "resumes from $run/checkpoints/step-00000000"
  expect 0 diff again $run
done
train_from other --set run.seed=8 --set data.sequence_length=16
"$programs/cola_dist" --config tiny.yaml --set run.dir=changed --resume back/checkpoints/step-00000000 \
  --set model.rope_theta=5000 >stdout 2>stderr
[ $? -eq 2 ] || fail "imported weights belong to another model"
"$programs/cola_dist" --config tiny.yaml --set run.dir=changed --resume $one/step-00000004 --set run.seed=8 >stdout 2>stderr
[ $? -eq 2 ] || fail "a trained checkpoint's samples cannot change"

# What is shown, compared and exported was verified before.
cp -r $three/step-00000004 spoilt
flip_weight spoilt shard-00001.h5
for words in "show spoilt" "diff spoilt one" "diff one spoilt" "export spoilt out" "export --format safetensors spoilt out"; do
  # shellcheck disable=SC2086
  expect 1 $words
  complains 'spoilt/shard-00001.h5: damaged: its checksum'
  [ "$(wc -l <stderr)" -eq 1 ] || fail "not one line on stderr: $words"
done
[ -z "$(find . -maxdepth 1 -name 'out*')" ] || fail "a damaged checkpoint was exported"
expect 0 show --no-verify spoilt
expect 1 diff --no-verify spoilt three
says ' weights: 1 elements differ'
expect 0 export --no-verify spoilt out
expect 1 import spoilt new
complains 'spoilt/shard-00001.h5: damaged: its checksum'
[ ! -e new ] || fail "a damaged checkpoint was imported"
expect 0 import --no-verify spoilt new

# verify: every kind of damage is found, and the file is named.
expect 0 verify one three $one/step-00000002
[ "$(grep -c ': good: ' stdout)" -eq 3 ] || fail "three good checkpoints expected"
damaged=$three/step-00000002
for file in shard-00000.h5 shard-00001.h5 shard-00002.h5 manifest.json; do
  cp "$damaged/$file" whole
  size=$(wc -c <whole)
  for byte in 0 $((RANDOM % size)) $((RANDOM % size)) $((size / 2)) $((size - 1)); do
    flip "$damaged/$file" "$byte"
    expect 1 verify nowhere one "$damaged"
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

finish
