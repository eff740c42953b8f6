# shellcheck shell=bash
# What the other scripts share: their help text, their messages, and how MPI ranks are started. Sourced, never run.

# The top of the source tree, whatever the caller's directory.
# shellcheck disable=SC2034  # used by the scripts that source this
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '\n== %s\n' "$*"; }
fail() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# Prints the comment at the head of the calling script.
print_help() { sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0"; }

# Runs a command with the rights of root, or fails in one line that says what for.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    fail "needs root or sudo to run: $*"
  fi
}

# Lets a second clone on this machine find what the first one compiled: ccache then knows files by their place in the tree.
prepare_ccache() { export CCACHE_BASEDIR="$root" CCACHE_NOHASHDIR=1; }

# Open MPI refuses to run as root, and to start more ranks than cores, unless it is told that this is meant.
prepare_mpi() {
  if [ "$(id -u)" -eq 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1      # Open MPI 4
    export PRTE_ALLOW_RUN_AS_ROOT=1 PRTE_ALLOW_RUN_AS_ROOT_CONFIRM=1      # Open MPI 5
  fi
  [ -t 1 ] || export TERM=dumb # mpirun gives rank 0 a terminal of its own, whatever stands behind it
  export OMPI_MCA_rmaps_base_oversubscribe=1
  export PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe
  # Open MPI 5 asks the kernel's routes, and complains that ranks on one machine do not reach each other by network card.
  export OMPI_MCA_reachable="${OMPI_MCA_reachable-^netlink}"
}
