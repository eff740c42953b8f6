#!/usr/bin/env bash
# Puts CUTLASS's headers into .cache/cutlass of the source tree, where CMake looks for them: with them, products on
# Hopper GPUs (H100, H200) do the element-wise work around them in the same kernel. Taken from the Python package that
# NVIDIA publishes; only its headers are kept, and nothing of it is needed to run.
#
# usage: scripts/install-cutlass.sh
#
# Does nothing where the headers are already there, or where there is no CUDA toolkit (nvcc) to compile them. Needs
# Python with pip, which it installs on Debian with the rights of root or sudo.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

case "${1:-}" in
  "") ;;
  -h | --help) print_help; exit ;;
  *) fail "unknown option $1 (see --help)" ;;
esac

package=nvidia-cutlass==4.2.0.0
folder=$root/.cache/cutlass
[ ! -f "$folder/include/cutlass/version.h" ] || exit 0
command -v nvcc >/dev/null || exit 0

if ! python3 -m pip --version >/dev/null 2>&1; then
  command -v apt-get >/dev/null || fail "needs Python with pip"
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 python3-pip </dev/null >/dev/null
fi
say "Fetching CUTLASS's headers ($package)"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --dest "$work" "$package" ||
  fail "could not fetch $package"
python3 -m zipfile -e "$work"/*.whl "$work/wheel"
mkdir -p "$folder"
rm -rf "$folder/include.new"
mv "$work/wheel/cutlass_library/source/include" "$folder/include.new"
cp "$work"/wheel/*.dist-info/licenses/LICENSE* "$work"/wheel/*.dist-info/LICENSE* "$folder/" 2>/dev/null || true
mv "$folder/include.new" "$folder/include"
