# The recipe of cola_dist for Spack:
#
#   spack repo add packaging/spack/repo
#   spack dev-build --source-path . cola-dist@main          # CPU
#   spack dev-build --source-path . cola-dist@main +cuda cuda_arch=80,90    # with NVIDIA GPUs, here A100 and H100
try:  # from Spack 1.0 on build systems are part of its own repository of packages
    from spack_repo.builtin.build_systems.cmake import CMakePackage, generator
    from spack_repo.builtin.build_systems.cuda import CudaPackage
except ImportError:
    pass

from spack.package import *


class ColaDist(CMakePackage, CudaPackage):
    """Distributed pretraining of CoLA language models with C++20 and MPI."""

    license("Apache-2.0")

    # Built from the tree at hand: spack dev-build --source-path . cola-dist@main
    version("main")

    variant("tests", default=False, description="Build the tests")
    variant(
        "cpu_target",
        default="x86-64-v3",
        description="Processor of the CPU kernels, as -march= takes it; native for a cluster of one kind of node",
    )

    variant("cudnn", default=True, when="+cuda", description="Attention of long sequences by cuDNN")

    depends_on("c", type="build")
    depends_on("cxx", type="build")
    depends_on("cmake@3.24:", type="build")
    depends_on("ninja", type="build")
    depends_on("pkgconfig", type="build")

    depends_on("mpi@3:")
    depends_on("hdf5@1.10.7:1.10,1.12.1: ~mpi")  # serial: each rank writes files of its own
    depends_on("onednn@2.6: cpu_runtime=omp gpu_runtime=none")
    depends_on("hwloc@2:")
    depends_on("yaml-cpp@0.6:")
    depends_on("boost@1.74: +program_options +iostreams +context")
    depends_on("zlib-api")
    depends_on("sentencepiece")
    depends_on("nlohmann-json@3.9:")
    depends_on("fmt@8:")
    depends_on("spdlog@1.8:")
    depends_on("xxhash@0.8:")
    with when("+tests"):
        depends_on("googletest", type="build")
        depends_on("benchmark", type="build")
        depends_on("python@3:", type="build")
    with when("+cuda"):
        depends_on("cuda@12:")
        conflicts("cuda_arch=none", msg="Name the GPUs, as NCCL needs: cuda_arch=80 (A100), cuda_arch=90 (H100)")
        for arch in CudaPackage.cuda_arch_values:
            depends_on(f"nccl@2.18: cuda_arch={arch}", when=f"cuda_arch={arch}")
        depends_on("cudnn@9:", when="+cudnn")
        depends_on("cutlass@4: cuda_arch=90", type="build", when="cuda_arch=90")  # headers alone

    conflicts("%gcc@:11", msg="C++20 as g++ 12 knows it is needed")

    generator("ninja")

    def cmake_args(self):
        arguments = [
            self.define_from_variant("COLA_BUILD_TESTS", "tests"),
            self.define_from_variant("COLA_CPU_TARGET", "cpu_target"),
            self.define("COLA_BUNDLE_LIBRARIES", False),
            self.define("COLA_CUDA", "on" if self.spec.satisfies("+cuda") else "off"),
            self.define("CMAKE_DISABLE_FIND_PACKAGE_CUDNN", not self.spec.satisfies("+cudnn")),
        ]
        if self.spec.satisfies("+cuda"):
            # The a stands for Hopper's own instructions.
            gpus = ["90a-real" if arch == "90" else arch for arch in self.spec.variants["cuda_arch"].value]
            arguments.append(self.define("CMAKE_CUDA_ARCHITECTURES", gpus))
        return arguments
