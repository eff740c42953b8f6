# shellcheck shell=bash
# Makes an installed tree usable from wherever it was copied to: its programs on PATH, its MPI's parts, and CUDA's
# libraries where the machine has them. To be sourced: . TREE/share/cola_dist/scripts/environment.sh
cola_tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
export PATH="$cola_tree/bin:$PATH"
cola_libraries=$cola_tree/lib/cola_dist
if [ -d "$cola_libraries/openmpi" ]; then
  export OPAL_PREFIX="$cola_tree" OPAL_PKGDATADIR="$cola_libraries/openmpi"
  export OMPI_MCA_mca_base_component_path="$cola_libraries/openmpi" PMIX_MCA_mca_base_component_path="$cola_libraries/pmix"
  export PRTE_PKGDATADIR="$cola_libraries/prte" PMIX_PKGDATADIR="$cola_libraries/prte/pmix" # messages, of Open MPI 5
  export OMPI_MCA_ess_singleton_isolated=1 # one rank without a launcher starts no helper process
  # mpirun starts ranks on its own machine also where there is no ssh for others.
  command -v ssh >/dev/null || export OMPI_MCA_plm=^rsh
fi

# CUDA's libraries: a toolkit's, or those that Python packages bring.
cola_find_library_folders() {
  local folder
  for folder in "${CUDA_HOME:-/usr/local/cuda}/lib64" /usr/local/cuda-*/lib64 "${NCCL_HOME:-/nonexistent}/lib"; do
    [ ! -d "$folder" ] || printf '%s\n' "$folder"
  done
  python3 - 2>/dev/null <<'PYTHON' || true
import glob, os
try:
    import nvidia
    for root in nvidia.__path__:
        for folder in sorted(glob.glob(os.path.join(root, "*", "lib")) + glob.glob(os.path.join(root, "lib"))):
            print(folder)
except ImportError:
    pass
PYTHON
}
cola_missing_libraries() {
  LC_ALL=C ldd "$cola_tree/bin/cola_dist" | sed -n 's/^[[:space:]]*\(lib[^ ]*\) => not found.*/\1/p' | sort -u
}
cola_folders=$(cola_find_library_folders)
for cola_library in $(cola_missing_libraries); do
  for cola_folder in $cola_folders; do
    [ -e "$cola_folder/$cola_library" ] || continue
    case ":${LD_LIBRARY_PATH:-}:" in
      *":$cola_folder:"*) ;;
      *) export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$cola_folder" ;;
    esac
    break
  done
done
cola_missing=$(cola_missing_libraries | tr '\n' ' ')
[ -z "$cola_missing" ] || echo "neither in a CUDA toolkit nor in Python's nvidia packages: $cola_missing" >&2
unset cola_tree cola_libraries cola_folders cola_folder cola_library cola_missing
unset -f cola_find_library_folders cola_missing_libraries
