#!/usr/bin/env python3
"""Checks the floors of the house from the #include lines under src/: an include goes downward only, and the headers
of each outside library stay where that library is meant to be used.

layering_test.py SRC      checks the tree, after proving on made-up trees that every rule can fail
"""
import re
import sys
import tempfile
from pathlib import Path

# floor: the floors it may include
FLOORS = {
    "core": {"core"},
    "model": {"core", "model"},
    "dist": {"core", "model", "dist"},
    "io": {"core", "model", "io"},
    "train": {"core", "model", "dist", "io", "train"},
    "apps": {"core", "model", "dist", "io", "train", "apps"},
}

# library: (headers, files that may include them)
LIBRARIES = {
    "MPI": (r"mpi(-ext)?\.h", r"dist/[^/]+\.cpp"),
    "NCCL": (r"nccl(_net|_tuner)?\.h", r"dist/[^/]+\.cpp"),
    "HDF5": (r"hdf5(_hl)?\.h|H5.*\.h", r"io/(files/hdf5_file|tokens/token_file)\.cpp"),
    "yaml-cpp": (r"yaml-cpp/.+|yaml\.h", r"core/configuration_node\.cpp"),
    "Boost.Program_options": (r"boost/program_options.*", r"apps/.+"),
    "zlib": (r"zlib\.h", r"io/text/text_source\.cpp"),
    "Boost.Iostreams": (r"boost/iostreams/.+", r"io/text/text_source\.cpp"),
    "JSON": (r"nlohmann/.+", r"(io|train)/.+"),
    "SentencePiece": (r"sentencepiece.*\.h", r"io/tokens/tokenizer\.cpp"),
    "xxHash": (r"xxhash\.h|xxh3\.h", r"io/(files|tokens)/[^/]+\.cpp"),
    "spdlog": (r"spdlog/.+", r"core/log\.cpp"),
    "CUDA": (r"(cuda|cublas|cudnn|curand|cusparse|cusolver|cufft|nvrtc|nvml|nvtx).*|(cub|thrust|cooperative_groups|nv)(/.+|\.h)|mma\.h",
             r"core/cuda/.+|dist/[^/]*nccl[^/]*\.cpp"),
    "CUTLASS": (r"(cutlass|cute)/.+", r"core/cuda/hopper/.+"),
    "hwloc": (r"hwloc(/.+|\.h)", r"core/host_topology\.cpp"),
    "oneDNN": (r"dnnl.*|oneapi/dnnl/.+", r"core/cpu/onednn_products\.cpp"),
}

# word: the header that declares it; used to come along with another one
DECLARED_IN = {"fmt::join": "fmt/ranges.h"}

INCLUDE = re.compile(r"^\s*#\s*include\s*([<\"])([^>\"]+)[>\"]")
SOURCES = {".h", ".hpp", ".cpp", ".cu", ".cuh"}


def find_floor_fault(file, bracket, header):
    """Why `file` (relative to src/) may not include this project header, or None."""
    target = header.split("/")[0]
    if bracket == '"' and ("/" not in header or target not in FLOORS):
        return "project headers are included as \"FLOOR/FILE\" from src/"
    if target in FLOORS and target not in FLOORS[file.split("/")[0]]:
        return f"{file.split('/')[0]} lies below {target} or beside it: includes go downward only"
    return None


def find_library_fault(file, header):
    for library, (headers, homes) in LIBRARIES.items():
        if re.fullmatch(headers, header) and not re.fullmatch(homes, file):
            return f"{library} is included outside its place ({homes})"
    return None


def find_faults(source):
    """All faults under `source`, one line each, and the number of includes read."""
    faults, includes = [], 0
    for path in sorted(p for p in source.rglob("*") if p.suffix in SOURCES):
        file = path.relative_to(source).as_posix()
        if file.split("/")[0] not in FLOORS:
            faults.append(f"src/{file}: lies on no floor ({', '.join(FLOORS)})")
            continue
        text = path.read_text(encoding="utf-8")
        faults += [f"src/{file}: {word} needs <{header}>" for word, header in DECLARED_IN.items()
                   if word in text and f"#include <{header}>" not in text]
        for number, line in enumerate(text.splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            includes += 1
            bracket, header = match.groups()
            of_library = any(re.fullmatch(headers, header) for headers, _ in LIBRARIES.values())
            fault = find_library_fault(file, header) if of_library else find_floor_fault(file, bracket, header)
            if fault:
                faults.append(f"src/{file}:{number}: {line.strip()}: {fault}")
    return faults, includes


GOOD = [
    ("core/configuration_node.cpp", "#include <yaml-cpp/yaml.h>"),
    ("core/cpu/onednn_products.cpp", "#include <dnnl.hpp>"),
    ("core/cuda/norm.cu", "#include <cuda_bf16.h>"),
    ("core/cuda/hopper/silu_product.cu", "#include <cutlass/cutlass.h>"),
    ("dist/mpi_communicator.cpp", "#include <mpi.h>"),
    ("dist/nccl_communicator.cpp", "#include <nccl.h>\n#include <cuda_runtime.h>"),
    ("io/files/hdf5_file.cpp", "#include <hdf5.h>\n#include \"model/shard_map.h\""),
    ("train/trainer.h", "#include \"dist/communicator.h\"\n#include \"io/tokens/dataset.h\"\n#include <vector>"),
    ("apps/cola_dist.cpp", "#include <boost/program_options.hpp>\n#include \"train/trainer.h\""),
    ("model/layer.cpp", "// #include \"dist/communicator.h\"\n#include \"core/tensor.h\""),
]
BAD = [
    ("core/tensor.h", "#include \"model/layer.h\""),
    ("core/tensor.h", "#include <model/layer.h>"),
    ("model/layer.h", "#include \"dist/communicator.h\""),
    ("model/layer.h", "  #  include \"io/tokens/dataset.h\""),
    ("dist/mpi_session.h", "#include \"io/tokens/dataset.h\""),
    ("io/tokens/dataset.h", "#include \"dist/mpi_session.h\""),
    ("train/trainer.h", "#include \"apps/command_line.h\""),
    ("train/trainer.cpp", "#include \"schedule.h\""),
    ("train/trainer.cpp", "#include \"../io/dataset.h\""),
    ("tools/helper.h", "#include <vector>"),
    ("dist/communicator.h", "#include <mpi.h>"),
    ("train/trainer.cpp", "#include \"mpi.h\""),
    ("dist/communicator.h", "#include <nccl.h>"),
    ("train/metrics.cpp", "#include <hdf5.h>"),
    ("io/checkpoints/shard_file.cpp", "#include <hdf5.h>"),
    ("train/run_configuration.cpp", "#include <yaml-cpp/yaml.h>"),
    ("core/configuration_node.h", "#include <yaml-cpp/yaml.h>"),
    ("train/options.cpp", "#include <boost/program_options/options_description.hpp>"),
    ("core/device.h", "#include <cuda_runtime.h>"),
    ("dist/mpi_communicator.cpp", "#include <cuda_runtime_api.h>"),
    ("core/matmul.cpp", "#include <oneapi/dnnl/dnnl.hpp>"),
    ("dist/placement/near_device.cpp", "#include <hwloc.h>"),
    ("core/cuda/matmul.cpp", "#include <cutlass/cutlass.h>"),
    ("core/device.h", "#include <cute/tensor.hpp>"),
    ("io/text/document_reader.cpp", "#include <zlib.h>"),
    ("io/text/document_reader.cpp", "#include <boost/iostreams/read.hpp>"),
    ("model/cost.cpp", "#include <nlohmann/json.hpp>"),
    ("io/tokens/tokenization.cpp", "#include <sentencepiece_processor.h>"),
    ("train/metrics.cpp", "#include <xxhash.h>"),
    ("train/progress.cpp", "#include <spdlog/spdlog.h>"),
    ("io/checkpoints/manifest.cpp", "#include <fmt/format.h>\nauto list = fmt::join(names, \", \");"),
]


def check_rules():
    """Each good file passes and each bad one is found, so that silence about the real tree means something."""
    for number, (file, text) in enumerate(GOOD + BAD):
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / file
            path.parent.mkdir(parents=True)
            path.write_text(text + "\n", encoding="utf-8")
            faults, _ = find_faults(Path(directory))
        expected = 0 if number < len(GOOD) else 1
        if len(faults) != expected:
            sys.exit(f"the layering rules are broken: {file} with {text!r} has {faults}, expected {expected}")


def main():
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit("usage: layering_test.py SRC")
    check_rules()
    faults, includes = find_faults(Path(sys.argv[1]))
    if includes == 0:
        sys.exit(f"no includes found under {sys.argv[1]}")
    if faults:
        sys.exit("\n".join(faults))
    print(f"{includes} includes go downward; {len(BAD)} made-up faults were found")


if __name__ == "__main__":
    main()
