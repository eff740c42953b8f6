# shellcheck shell=bash
# What the shell tests of the programs share. To be sourced at their beginning, after which they work in a temporary
# folder of their own:
#   . checks.sh BIN_DIR PROGRAM
set -u
programs=$(realpath "$1")
program=$2
bin=$programs/$program
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
  [ $got -eq "$code" ] || fail "exit code $got instead of $code: $program $*"
  [ "$code" -ne 2 ] || [ "$(wc -l <stderr)" -eq 1 ] || fail "not one line on stderr: $program $*"
  [ "$code" -ne 2 ] || grep -q "^$program: error: " stderr || fail "the error does not begin with the program: $program $*"
}
# refuse WORDS ARGUMENTS...: exit code 2, and one line on stderr with these words.
refuse() {
  local words=$1
  shift
  expect 2 "$@"
  grep -q -- "$words" stderr || fail "no '$words' on stderr: $program $*"
}
says() { grep -Eq -- "$1" stdout || fail "no '$1' on stdout"; }
complains() { grep -Eq -- "$1" stderr || fail "no '$1' on stderr"; }
# value KEY: what stands behind the key on stdout.
value() { awk -v key="$1" '$1 == key { print $2 }' stdout; }
# flip FILE BYTE: changes one bit of a file.
flip() {
  local old
  old=$(od -An -tu1 -j "$2" -N 1 "$1")
  # shellcheck disable=SC2059
  printf "\\x$(printf %x $((old ^ 4)))" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}
# flip_weight CHECKPOINT SHARD: changes one bit of a shard's first weight.
flip_weight() {
  flip "$1/$2" "$(grep -m 1 -o '"weights":{"offset":[0-9]*' "$1/manifest.json" | grep -o '[0-9]*$')"
}
# train YAML SETTING...: a run of cola_dist, which must succeed.
train() {
  local settings=()
  for setting in "${@:2}"; do settings+=(--set "$setting"); done
  "$programs/cola_dist" --config "$1" "${settings[@]}" >log 2>&1 || { cat log; exit 1; }
}
# tiny_run RUN_DIR: the configuration of a run of seconds, on data/ of bytes.
tiny_run() {
  cat <<YAML
run: {name: tiny, dir: $1, seed: 7}
model: {vocab_size: 258, hidden_size: 32, intermediate_size: 45, num_hidden_layers: 2, num_attention_heads: 4,
        num_key_value_heads: 2, max_position_embeddings: 64, projection: cola, rank: 12, gate_activation: true}
data: {train: [data/train-*.h5], validation: [data/validation-*.h5], sequence_length: 32}
optimizer: {lr: 3.0e-3}
schedule: {total_steps: 4, warmup_steps: 1}
train: {global_batch: 6, micro_batch: 2, precision: fp32, device: cpu, threads: 1}
checkpoint: {every: 2, keep: 10}
evaluation: {every: 0, tokens: 1024}
YAML
}
# To be the last command of a test.
finish() {
  [ $failures -eq 0 ] && echo "$program: all checks passed"
  exit $((failures > 0))
}
