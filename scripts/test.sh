#!/usr/bin/env bash
# Builds everything and runs every test: the unit tests of each floor, then the tests of whole programs.
#
# usage: scripts/test.sh [CTEST OPTION]...
#   scripts/test.sh -R Matmul      only tests whose names match
#   scripts/test.sh -L io          only the tests of one floor
#
# Installs missing packages first (see install-packages.sh), and CUTLASS's headers where there is a CUDA toolkit. Fails if
# the build or any test fails; the last lines are ctest's own summary.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

case "${1:-}" in
  -h | --help) print_help; exit ;;
esac

"$root/scripts/install-packages.sh"
"$root/scripts/install-cutlass.sh" || say "Going on without CUTLASS: products on Hopper GPUs are not joined with their neighbours"
cd "$root"
prepare_mpi
prepare_ccache

say "Building"
cmake --preset release
cmake --build --preset release

say "Testing"
# Ranks and tests that run side by side share the cores: a thread that waits must not spin.
export OMP_WAIT_POLICY=passive OMPI_MCA_mpi_yield_when_idle=1
log=build/release/test-output.txt
status=0
# One more than there are cores: ranks, jobs and disks are waited for most of the time.
ctest --preset release --no-tests=error --parallel "$(($(nproc) + 1))" "$@" 2>&1 | tee "$log" || status=$?

say "Summary (all of it in $log)"
skipped=$(grep -c '\*\*\*Skipped' "$log" || true)
[ "$skipped" -eq 0 ] || echo "$skipped tests skipped: what they need is not here (a GPU; transformers; for Slurm: root and namespaces)"
grep -E '^[0-9]+% tests passed|^Total Test time|^No tests were found' "$log" || true
exit "$status"
