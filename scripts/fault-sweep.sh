#!/usr/bin/env bash
# Kills training runs at every stage of a checkpoint, starts them again, and compares their end with an undisturbed run.
#
# usage: scripts/fault-sweep.sh [--count N] [--ranks R] [--seed S]
#   --count N   kills that must strike before the end of a run (default 40; about 2 s each)
#   --ranks R   MPI ranks of a run (default 2)
#   --seed S    repeats a sweep
#
# Builds first. Stops at the first fault, with the run's output; ctest -L fault runs a short selection of it.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

case "${1:-}" in
  -h | --help) print_help; exit ;;
esac

cd "$root"
prepare_mpi
cmake --preset release >/dev/null
cmake --build --preset release --target cola_dist cola_data cola_ckpt
export OMP_WAIT_POLICY=passive OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_btl_base_warn_component_unused=0
exec python3 tests/apps/fault_sweep.py build/release/bin "$@"
