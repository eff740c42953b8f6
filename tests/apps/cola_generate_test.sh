#!/usr/bin/env bash
# cola_generate from the outside, on a model whose vocabulary is larger than its tokenizer's.
#   cola_generate_test.sh BIN_DIR
# shellcheck source=tests/apps/checks.sh
. "$(dirname "$0")/checks.sh" "$1" cola_generate

for i in $(seq 1 400); do printf 'Paragraph %d tells of %d things.\n\n' "$i" $((i * i)); done >text.txt
"$programs/cola_data" tokenize --input text.txt --output data --bytes --document-bytes 500 >/dev/null || exit 1
tiny_run run >tiny.yaml
train tiny.yaml model.vocab_size=4096

# Help, version, and lines that cannot be.
expect 0 --help
says 'top-k'
expect 0 --version
says '^cola_generate [0-9]+\.[0-9]+\.[0-9]+$'
refuse 'are needed' --checkpoint run --bytes
refuse 'give either' --checkpoint run --prompt Paragraph
refuse 'not negative' --checkpoint run --prompt Paragraph --bytes --seed -1
refuse 'precision fp16: is one of auto, fp32 and bf16' --checkpoint run --prompt Paragraph --bytes --precision fp16
refuse 'not negative' --checkpoint run --prompt Paragraph --bytes --temperature -1
refuse 'unrecognised option' --check run --prompt Paragraph --bytes
refuse 'nowhere: no such folder' --checkpoint nowhere --prompt Paragraph --bytes
refuse 'data: holds no committed checkpoint' --checkpoint data --prompt Paragraph --bytes
refuse 'step-00000003: no such folder' --checkpoint run/checkpoints/step-00000003 --prompt Paragraph --bytes

# Only ids that the tokenizer knows are chosen, among all those that the model has.
for seed in 1 2 3; do
  expect 0 --checkpoint run --prompt Paragraph --bytes --temperature 10 --top-k 0 --seed $seed --tokens 16
  says '^Paragraph'
  complains 'tokens after a prompt of 9, from run/checkpoints/step-00000004'
done
expect 0 --checkpoint run --prompt Paragraph --bytes --seed 1
cp stdout first
expect 0 --checkpoint run --prompt Paragraph --bytes --seed 1
cmp -s first stdout || fail "the same seed gave another text"

for precision in fp32 bf16; do
  expect 0 --checkpoint run --prompt Paragraph --bytes --temperature 0 --precision $precision
  says '^Paragraph'
done

# Another tokenizer than that of the training data is refused; a renamed model is the same one.
spm_train --input=text.txt --model_prefix=pieces --vocab_size=60 --minloglevel=2 >log 2>&1 || { cat log; exit 1; }
refuse "pieces.model: is 'pieces.model xxh3:[0-9a-f]*', but the model was trained with 'bytes'" \
  --checkpoint run --prompt Paragraph --tokenizer pieces.model
"$programs/cola_data" tokenize --input text.txt --output pieces --tokenizer pieces.model --document-bytes 500 >/dev/null ||
  fail "the text cannot be tokenized"
train tiny.yaml run.dir=pieced data.train='[pieces/train-*.h5]' data.validation='[pieces/validation-*.h5]'
cp pieces.model renamed.model
expect 0 --checkpoint pieced --prompt Paragraph --tokenizer renamed.model
refuse "--bytes: is 'bytes', but the model was trained with 'pieces.model " --checkpoint pieced --prompt Paragraph --bytes

# Imported weights generate the same.
"$programs/cola_ckpt" export run weights.h5 >/dev/null || fail "no weights to import"
"$programs/cola_ckpt" import weights.h5 back >/dev/null || fail "weights cannot be imported"
expect 0 --checkpoint back --prompt Paragraph --bytes --seed 1
cmp -s first stdout || fail "imported weights gave another text"

# A text takes the memory of its own length, however long a text the model could read.
"$programs/cola_ckpt" export --format safetensors run wide >/dev/null || fail "no folder to import"
sed -i 's/"max_position_embeddings": [0-9]*/"max_position_embeddings": 2147483647/' wide/config.json
"$programs/cola_ckpt" import wide wide-back >/dev/null || fail "the folder cannot be imported"
expect 0 --checkpoint wide-back --prompt Paragraph --bytes --seed 1
cmp -s first stdout || fail "a model for longer texts gave another text"

# A text that could not be written is an error.
"$programs/cola_generate" --checkpoint run --prompt Paragraph --bytes >/dev/full 2>stderr
[ $? -eq 1 ] || fail "a full disk went unnoticed"
complains 'standard output cannot be written'

# Nothing is generated from damaged weights unasked.
flip_weight run/checkpoints/step-00000004 shard-00000.h5
expect 1 --checkpoint run --prompt Paragraph --bytes
complains 'shard-00000.h5: damaged: its checksum'
[ ! -s stdout ] || fail "a text of damaged weights"
expect 0 --checkpoint run --prompt Paragraph --bytes --no-verify

finish
