#!/usr/bin/env bash
# Checks an installed tree on a GPU machine: the GPU tests, compute-sanitizer on all kernels, and the benchmarks, whose
# tables are ready for docs/performance.md. Needs the driver and CUDA's libraries (see environment.sh), nothing else.
#
# usage: gpu-check.sh [OPTION]... [PART[:WORD]]...
#   --output DIR   where results go (gpu-check): summary.txt, tables.txt, and all logs in logs-TIME.tar.gz
#   --seconds N    time limit of each program (240)
#   --limit N      time limit of everything (none); what does not fit is named in the summary
#   --list         only prints what would run
#
# parts, in this order when none is named:
#   facts          the machine, its driver and libraries; every program starts
#   tests          core, model, dist, train: the GPU tests of one floor, a suite at a time
#                  runs: whole training runs on the GPU against the CPU's (needs python3)
#   bench          training steps of every size; kernels: where a step's time goes; checkpoint: what saving costs
#   sanitizer      memcheck, racecheck: a tiny run, then the kernels' tests, a suite at a time
# A WORD picks programs: core:Attention, bench:1b, racecheck:run. Each part can be run alone, and again; a program that
# fails or hangs does not keep the next from running.
#
# exit status: 0 passed; 1 something failed, or did not end in time; 77 there is no GPU, and all was skipped
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/common.sh
. "$here/common.sh"

output=gpu-check
seconds=240
limit=1000000
list_only=""
parts=()
all_parts=(facts core model dist train runs bench kernels checkpoint memcheck racecheck)
while [ $# -gt 0 ]; do
  word=${1#*:}
  case "$1" in
    --output) output=${2:?--output needs a folder}; shift ;;
    --seconds) seconds=${2:?--seconds needs a number}; shift ;;
    --limit) limit=${2:?--limit needs a number}; shift ;;
    --list) list_only=yes ;;
    -h | --help) print_help; exit ;;
    tests) parts+=(core model dist train runs) ;;
    sanitizer | sanitizer:*) parts+=("memcheck${1#sanitizer}" "racecheck${1#sanitizer}") ;;
    *) [[ " ${all_parts[*]} " == *" ${1%%:*} "* && -n $word ]] || fail "unknown option or part $1 (see --help)"
      parts+=("$1") ;;
  esac
  shift
done
[ ${#parts[@]} -gt 0 ] || parts=("${all_parts[@]}")

# shellcheck source=scripts/environment.sh
. "$here/environment.sh"
prepare_mpi
tree=$(cd "$here/../../.." && pwd)
tests=$tree/libexec/cola_dist/tests
share=$tree/share/cola_dist
export COLA_TEST_DATA=$share
if [ -z "$list_only" ] && ! command -v nvidia-smi >/dev/null; then
  echo "gpu-check.sh: no NVIDIA driver here (nvidia-smi is missing): everything skipped" >&2
  exit 77
fi
gpus=$(nvidia-smi -L 2>/dev/null | grep -c '^GPU ')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
[ -z "$list_only" ] || output=$work/output
mkdir -p "$work/logs" "$output" || exit
output=$(cd "$output" && pwd)
archive=$output/logs-$(date +%m%d-%H%M%S).tar.gz
touch "$work/results"
echo "$(date '+%F %T') $(uname -n): ${parts[*]}" >>"$output/summary.txt"

# --- One program at a time

# NAME: says what comes next. RESULT: ends that line, and the one of the summary.
announce() { printf '%-48s ' "$1" | tee -a "$work/results" "$output/summary.txt"; }
note() { echo "$1" | tee -a "$work/results" "$output/summary.txt"; }
leave_out() { announce "$1" && note "LEFT OUT: $2"; }

# The number in GoogleTest's or unittest's closing lines, 0 where there is none.
count() { sed -n "s/^\[  $1 *\] \([0-9]*\) test.*/\1/p" "$2" | tail -n 1 | grep . || echo 0; }

# EXIT_STATUS LOG: one line that says how a program ended.
judge() {
  local passed skipped
  passed=$(count PASSED "$2") skipped=$(count SKIPPED "$2")
  case "$1" in
    0) if [ "$passed" -gt 0 ]; then
         echo "passed: $passed tests$([ "$skipped" -eq 0 ] || echo ", $skipped skipped")"
       elif [ "$skipped" -gt 0 ] && [ "$gpus" -gt 0 ]; then
         echo "FAILED: all skipped, though the driver lists a GPU"
       elif [ "$skipped" -gt 0 ] || grep -q '^OK (skipped=1)' "$2"; then
         echo "skipped"
       else
         echo "passed"
       fi ;;
    77) echo "skipped" ;;
    124 | 137) echo "FAILED: not done in time; last: $(tail -n 1 "$2" | cut -c 1-100)" ;;
    *) echo "FAILED: exit status $1; $({ grep -E '^\[  FAILED|rror' "$2" || cat "$2"; } | tail -n 1 | cut -c 1-100)" ;;
  esac
}

# NAME COMMAND...: runs a program of the current part within its time, logs what it prints, and notes how it ended.
check() {
  local name=$part/$1 log=$work/logs/${part}_${1//[^A-Za-z0-9_.-]/_}.txt begin=$SECONDS left=$((limit - SECONDS)) status
  shift
  [[ $name == *"$pattern"* ]] || return 0
  if [ -n "$list_only" ]; then echo "$name" && return; fi
  if [ "$left" -lt 10 ]; then leave_out "$name" "out of time" && return; fi
  announce "$name"
  printf '%q ' "$@" >"$log" && echo >>"$log"
  timeout --kill-after=10 "$((seconds < left ? seconds : left))" "$@" >>"$log" 2>&1 </dev/null
  status=$?
  note "$(judge "$status" "$log") ($((SECONDS - begin)) s)"
  pack_logs
}

# Packed anew after each program, so that a call that is cut off leaves what it had.
pack_logs() {
  tar -C "$work" -czf "$work/archive" logs && cp "$work/archive" "$archive.new" && mv "$archive.new" "$archive"
}

# NAME COMMAND...: the same for a program that needs a GPU and does not ask for one itself.
check_on_gpu() {
  if [ "$gpus" -eq 0 ]; then set -- "$1" sh -c 'echo "no GPU"; exit 77'; fi
  check "$@"
}

# --- The parts

describe_machine() {
  nvidia-smi
  uname -a; lscpu | grep -E '^(Model name|CPU\(s\))'; grep MemTotal /proc/meminfo; ldd --version | head -n 1
  "$tree/bin/cola_dist" --version
  ldd "$tree/bin/cola_dist" | grep -E 'cublasLt|cudnn|nccl|not found'
  nvcc --version 2>&1 | tail -n 1; compute-sanitizer --version 2>&1 | tail -n 1
  python3 - 2>&1 <<'PYTHON'
import ctypes
for library, function in (("libcublasLt.so.13", "cublasLtGetVersion"), ("libcudnn.so.9", "cudnnGetVersion"),
                          ("libnccl.so.2", "ncclGetVersion")):
    try:
        version = ctypes.c_int(0)
        call = getattr(ctypes.CDLL(library), function)
        call.restype = ctypes.c_size_t
        answer = call(ctypes.byref(version)) if library.startswith("libnccl") else call()
        print(library, version.value or answer)
    except (OSError, AttributeError) as error:
        print(library, "cannot be asked:", error)
PYTHON
  ! ldd "$tree/bin/cola_dist" | grep -q 'not found'
}

start_programs() {
  local program status=0
  for program in "$tree"/bin/cola_*; do "$program" --version >/dev/null || status=1; done
  for program in "$tests"/*_tests; do "$program" --gtest_list_tests >/dev/null || status=1; done
  return "$status"
}

check_facts() {
  export -f describe_machine start_programs
  export tree tests
  check machine bash -c describe_machine
  [ ! -f "$work/logs/facts_machine.txt" ] || sed 1d "$work/logs/facts_machine.txt" | tee "$output/facts.txt"
  check programs bash -c start_programs
}

# PROGRAM: its suites that hold tests of a GPU.
list_suites() {
  "$tests/$1" --gtest_filter='*/cuda*:*_cuda*:Nccl*' --gtest_list_tests | sed -n 's/^\([A-Za-z/]*\)\..*/\1/p'
}

# PROGRAM [PREFIX]...: its suites, one at a time, each under the command that the prefix is.
check_suites() {
  local program=$1 suite suites
  shift
  suites=$(list_suites "$program") || { check "$program" "$tests/$program" --gtest_list_tests; return; }
  for suite in $suites; do
    check "${suite#Devices/}" "$@" "$tests/$program" --gtest_filter="$suite.*-*/cpu*:*_cpu*"
  done
}

check_runs() {
  if ! command -v python3 >/dev/null; then leave_out "$part" "needs python3" && return; fi
  local script=$tests/training_gpu_test.py names name
  names=$(sed -n 's/^    def \(test_[a-z0-9_]*\).*/\1/p' "$script")
  for name in $names; do
    check "${name#test_}" python3 "$script" "$tree/bin" "Gpu.$name"
  done
}

# CONFIGURATION MICRO_BATCH [OPTION]...: one measurement's table rows.
bench() {
  local configuration=$1 micro_batch=$2 name
  shift 2
  name=$configuration-$micro_batch
  local last=${!#}
  [ $# -eq 0 ] || name+=-${last##*[-=]}
  check_on_gpu "$name" "$tree/bin/cola_bench" train --config "$share/configs/$configuration.yaml" \
    --set train.device=cuda --set train.micro_batch="$micro_batch" --set train.global_batch="$micro_batch" "$@"
  show_table "$name"
}

# NAME: what a benchmark printed, on the screen and in tables.txt.
show_table() {
  local log=$work/logs/${part}_${1//[^A-Za-z0-9_.-]/_}.txt
  [ "$gpus" -eq 0 ] || [ ! -f "$log" ] || { echo && sed 1d "$log"; } | tee -a "$output/tables.txt"
}

check_bench() {
  bench 60m 128 --compare
  bench 130m 128 --compare
  bench 350m 64 --compare
  bench 1b 32 --compare
  bench 1b 64 --compare
  bench 1b 64 --compare --set train.attention=flash
  bench 1b 64 --steps 5 --micro-batches 8
  bench 1b 64 --set train.recompute=cola_m
  bench 7b 16 --set train.recompute=none
  bench 7b 32 --set train.recompute=cola_m
}

check_kernels() {
  local setting configuration projection micro_batch
  for setting in 1b-cola-64 1b-full-64 7b-cola-16; do
    IFS=- read -r configuration projection micro_batch <<<"$setting"
    check_on_gpu "$setting" "$tree/bin/cola_bench" kernels --config "$share/configs/$configuration.yaml" \
      --set train.device=cuda --set train.micro_batch="$micro_batch" --set train.recompute=none \
      --set model.projection="$projection"
    show_table "$setting"
  done
}

check_checkpoint() {
  check_on_gpu 350m "$tree/bin/cola_bench" checkpoint --config "$share/configs/350m.yaml" --rounds 3 \
    --set run.dir="$work/checkpoint" --set train.device=cuda --set train.micro_batch=32
  show_table 350m
}

# TOOL: two steps of one small block, then the kernels' own tests.
check_with_sanitizer() {
  command -v compute-sanitizer >/dev/null || { leave_out "$part" "compute-sanitizer is not here" && return; }
  local sanitizer=(compute-sanitizer --tool "$1" --error-exitcode 9 --print-limit 20)
  # The copy engine's barriers are unknown to racecheck: it sees races in every kernel of cuBLAS and CUTLASS. (Its help is
  # not given to grep -q, whose early end would count as its failure.)
  if [ "$1" = racecheck ] && [[ $(compute-sanitizer --help 2>&1) == *--kernel-name-exclude* ]]; then
    sanitizer+=(--kernel-name kernel_substring=cola --kernel-name-exclude kernel_substring=cutlass)
  fi
  local data=$work/data
  if [ ! -d "$data" ]; then
    seq -f 'line %.0f of a text, and an empty line to end it'$'\n' 1000 >"$work/text.txt"
    "$tree/bin/cola_data" tokenize --input "$work/text.txt" --output "$data" --bytes --document-bytes 500 >/dev/null
  fi
  check_on_gpu run "${sanitizer[@]}" "$tree/bin/cola_dist" --config "$share/configs/tiny.yaml" \
    --set run.dir="$work/$1" --set "data.train=[$data/train-*.h5]" --set "data.validation=[$data/validation-*.h5]" \
    --set data.sequence_length=64 --set model.vocab_size=258 --set model.hidden_size=128 \
    --set model.num_attention_heads=2 --set model.num_key_value_heads=1 --set model.intermediate_size=345 \
    --set model.rank=32 --set model.num_hidden_layers=1 --set train.device=cuda --set train.precision=bf16 \
    --set train.micro_batch=2 --set train.global_batch=4 --set schedule.total_steps=2 \
    --set schedule.warmup_steps=1 --set evaluation.tokens=128
  check_suites core_tests "${sanitizer[@]}"
}

# --- All of them, and the summary

for chosen in "${parts[@]}"; do
  part=${chosen%%:*} pattern=""
  [ "$part" = "$chosen" ] || pattern=${chosen#*:}
  [ -n "$list_only" ] || say "$chosen"
  case "$part" in
    core | model | dist | train) check_suites "${part}_tests" ;;
    memcheck | racecheck) check_with_sanitizer "$part" ;;
    *) "check_$part" ;;
  esac
done
[ -z "$list_only" ] || exit 0

say "Summary ($output)"
passed=$(grep -c ' passed' "$work/results") skipped=$(grep -c ' skipped (' "$work/results")
failed=$(grep -c ' FAILED' "$work/results") left_out=$(grep -c ' LEFT OUT' "$work/results")
grep -E ' FAILED| LEFT OUT' "$work/results"
echo "$passed passed, $failed failed, $skipped skipped, $left_out left out in $SECONDS s; $gpus GPUs"
[ "$failed" -eq 0 ] && ! grep -q 'LEFT OUT: out of time' "$work/results" || exit 1
[ "$skipped" -eq 0 ] || [ "$gpus" -gt 0 ] || exit 77
