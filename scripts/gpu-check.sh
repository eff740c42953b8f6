#!/usr/bin/env bash
# Checks an installed tree on a GPU machine: the GPU tests, compute-sanitizer on a tiny run, and the benchmarks, whose
# tables are ready for docs/performance.md. Needs the driver and CUDA's libraries (see environment.sh), nothing else.
#
# usage: gpu-check.sh [--output DIR] [PART]...
#   --output DIR   where logs and tables go (gpu-check)
#   PART           tests, sanitizer, bench; all three when none is named
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/common.sh
. "$here/common.sh"
# shellcheck source=scripts/environment.sh
. "$here/environment.sh"
prepare_mpi

output=gpu-check
parts=()
while [ $# -gt 0 ]; do
  case "$1" in
    --output) output=${2:?--output needs a folder}; shift ;;
    -h | --help) print_help; exit ;;
    tests | sanitizer | bench) parts+=("$1") ;;
    *) fail "unknown option $1 (see --help)" ;;
  esac
  shift
done
[ ${#parts[@]} -gt 0 ] || parts=(tests sanitizer bench)
tree=$(cd "$here/../../.." && pwd)
tests=$tree/libexec/cola_dist/tests
share=$tree/share/cola_dist
mkdir -p "$output"
output=$(cd "$output" && pwd)
command -v nvidia-smi >/dev/null || fail "no NVIDIA driver here (nvidia-smi is missing)"
status=0

run_tests() {
  say "GPU tests"
  export COLA_TEST_DATA=$share
  local program
  for program in core_tests model_tests dist_tests train_tests; do
    "$tests/$program" --gtest_filter='*/cuda*:*_cuda*' --gtest_brief=1 >"$output/$program.txt" 2>&1 || status=1
    printf '%s: %s\n' "$program" "$(grep -E '^\[  (PASSED|FAILED|SKIPPED)|tests? ran|FAILED TEST' "$output/$program.txt" | tr '\n' ' ')"
    grep -E '^\[  FAILED' "$output/$program.txt" | sort -u | head -20
  done
  python3 "$tests/training_gpu_test.py" "$tree/bin" -v >"$output/training_gpu_test.txt" 2>&1 || status=1
  grep -E '\.\.\. |^Ran|^OK|^FAILED' "$output/training_gpu_test.txt"
}

# A few steps of a tiny model under each of compute-sanitizer's tools.
run_sanitizer() {
  say "compute-sanitizer"
  command -v compute-sanitizer >/dev/null || { echo "compute-sanitizer is not here"; return; }
  local work tool
  work=$(mktemp -d)
  head -c 400000 /dev/urandom | base64 >"$work/text.txt"
  cola_data tokenize --input "$work/text.txt" --output "$work/data" --bytes >/dev/null
  for tool in memcheck racecheck; do
    compute-sanitizer --tool "$tool" --error-exitcode 9 --log-file "$output/$tool.txt" \
      cola_dist --config "$share/configs/tiny.yaml" --set run.dir="$work/$tool" --set "data.train=[$work/data/train-*.h5]" \
      --set "data.validation=[$work/data/validation-*.h5]" --set train.device=cuda --set train.precision=bf16 \
      --set schedule.total_steps=3 --set schedule.warmup_steps=1 --set evaluation.tokens=2048 >"$output/$tool-run.txt" 2>&1 || status=1
    printf '%s: %s\n' "$tool" "$(tail -n 1 "$output/$tool.txt")"
  done
  rm -rf "$work"
}

# CONFIGURATION MICRO_BATCH [OPTION]...: a measurement's table rows, or the reason why there are none.
bench() {
  local configuration=$1 micro_batch=$2
  shift 2
  cola_bench train --config "$share/configs/$configuration.yaml" --set train.device=cuda \
    --set train.micro_batch="$micro_batch" --set train.global_batch="$micro_batch" "$@" 2>&1 | tee -a "$output/bench.txt"
}

run_benches() {
  say "Benchmarks"
  nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader | tee "$output/bench.txt"
  bench 60m 128 --compare
  bench 130m 128 --compare
  bench 350m 64 --compare
  bench 1b 32 --compare
  bench 1b 64 --compare
  bench 1b 64 --set train.recompute=cola_m
  bench 7b 16
  bench 7b 32 --set train.recompute=cola_m
  local model
  for model in 1b 7b; do
    cola_bench kernels --config "$share/configs/$model.yaml" --set train.device=cuda --set train.micro_batch=32 \
      2>&1 | tee "$output/kernels-$model.txt"
  done
  cola_bench kernels --config "$share/configs/1b.yaml" --set train.device=cuda --set train.micro_batch=32 \
    --set model.projection=full 2>&1 | tee "$output/kernels-1b-full.txt"
}

for part in "${parts[@]}"; do
  case "$part" in
    tests) run_tests ;;
    sanitizer) run_sanitizer ;;
    bench) run_benches ;;
  esac
done
say "Logs and tables are in $output"
exit "$status"
