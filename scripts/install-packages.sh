#!/usr/bin/env bash
# Installs the Debian (12 or newer) packages that cola_dist is built, tested and tried out with.
#
# usage: scripts/install-packages.sh [--list | --build]
#   --list    only print the names of the packages
#   --build   only what building the programs and running them takes
#
# Needs root or sudo, and only when a package is missing: otherwise nothing is touched and no network is used. On other
# systems it only says what is needed, and leaves it to CMake to find it, or to name what is missing.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

build=(
  build-essential cmake ninja-build pkg-config  # compiler and build system
  ccache                                        # makes a second build quick; the build does without
  libopenmpi-dev openmpi-bin                    # MPI
  libhwloc-dev                                  # which GPU and network card lies near which cores
  libhdf5-dev                                   # token files and checkpoints
  libdnnl-dev ocl-icd-opencl-dev                # matrix products on the CPU (its CMake files ask for OpenCL)
  libyaml-cpp-dev libboost-program-options-dev  # configuration and command lines
  libboost-iostreams-dev zlib1g-dev             # compressed input text
  libsentencepiece-dev                          # tokenizer
  nlohmann-json3-dev libfmt-dev libspdlog-dev   # manifests, metrics and messages
  libxxhash-dev                                 # checksums
  libbenchmark-dev                              # kernel benchmarks
  patchelf                                      # installs a tree that runs wherever it is copied to
)
tests=(
  libgtest-dev           # the tests' framework
  libboost-context-dev   # threads of the emulated GPU
  python3 python3-h5py   # read token files and checkpoints as an outsider would
  hdf5-tools             # h5dump, for the same
  slurm-wlm munge        # a cluster of two nodes on this machine
  shellcheck             # looks through the scripts
  lmod                   # loads the environment module
)
quickstart=(
  sentencepiece  # spm_train, which makes the tokenizer's model
)

case "${1:-}" in
  "") ;;
  --list) printf '%s\n' "${build[@]}" "${tests[@]}" "${quickstart[@]}"; exit ;;
  --build) tests=() quickstart=() ;;
  -h | --help) print_help; exit ;;
  *) fail "unknown option $1 (see --help)" ;;
esac

is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

if ! command -v dpkg-query >/dev/null; then
  needed="no Debian system, nothing installed: spack.yaml names what cola_dist needs, --list Debian's packages of it"
  command -v cmake >/dev/null || fail "$needed; CMake is missing"
  echo "$(basename "$0"): $needed" >&2
  exit 0
fi

missing=()
for package in "${build[@]}" "${tests[@]}" "${quickstart[@]}"; do
  is_installed "$package" || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

[ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null ||
  fail "neither root nor sudo here; let an administrator install: ${missing[*]}"
say "Installing ${#missing[@]} packages: ${missing[*]}"
as_root apt-get update -qq
as_root env DEBIAN_FRONTEND=noninteractive \
  apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 "${missing[@]}" </dev/null >/dev/null ||
  fail "apt-get could not install ${missing[*]}"
