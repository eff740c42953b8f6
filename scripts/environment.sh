# shellcheck shell=bash
# Makes an installed tree usable from wherever it was copied to: its programs on PATH, its MPI's parts, and CUDA's
# libraries where the machine has them. To be sourced: . TREE/share/cola_dist/scripts/environment.sh
cola_tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
export PATH="$cola_tree/bin:$PATH"
if [ -d "$cola_tree/lib/openmpi" ]; then
  export OPAL_PREFIX="$cola_tree" OMPI_MCA_mca_base_component_path="$cola_tree/lib/openmpi"
  export LD_LIBRARY_PATH="$cola_tree/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" # for mpirun: programs know it themselves
  export PMIX_MCA_mca_base_component_path="$cola_tree/lib/pmix"
  export OMPI_MCA_ess_singleton_isolated=1 # one rank without a launcher starts no helper process
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
cola_needed="libcublasLt.so.13 libcudnn.so.9 libnccl.so.2"
for cola_folder in $(cola_find_library_folders); do
  for cola_library in $cola_needed; do
    [ ! -e "$cola_folder/$cola_library" ] || case ":${LD_LIBRARY_PATH:-}:" in
      *":$cola_folder:"*) ;;
      *) export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$cola_folder" ;;
    esac
  done
done
unset cola_folder cola_library cola_needed
