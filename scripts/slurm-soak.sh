#!/usr/bin/env bash
# Trains on a real Slurm of two nodes on this machine while its jobs are warned, killed, cancelled and requeued at random
# and its nodes lose power, and compares each run's final state with an undisturbed one. Needs root, and the programs
# built (cmake --build --preset release).
#
# usage: scripts/slurm-soak.sh [--minutes N] [--seed N]     (20 minutes by default)
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

case "${1:-}" in
  -h | --help) print_help; exit ;;
esac
exec python3 "$root/tests/slurm/soak.py" "$root/build/release/bin" "$@"
