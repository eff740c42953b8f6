# NCCL: target NCCL::nccl.
include(FindBesideCUDA)
# NVIDIA's HPC SDK has it beside its toolkits: cuda/12.4 goes with comm_libs/12.4/nccl, or with the default's comm_libs/nccl.
set(nccl_of_sdk "")
if(CUDAToolkit_BIN_DIR)
  get_filename_component(toolkit ${CUDAToolkit_BIN_DIR}/.. REALPATH)
  get_filename_component(toolkit_version ${toolkit} NAME)
  set(nccl_of_sdk ${toolkit}/../../comm_libs/${toolkit_version}/nccl ${toolkit}/../../comm_libs/nccl ${toolkit}/../comm_libs/nccl)
endif()
find_beside_cuda(NCCL nccl.h nccl ${nccl_of_sdk})
