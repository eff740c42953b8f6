# NCCL where COLA_NCCL wants it. Without it GPUs' tensors go through host memory, which is slow: who insists on CUDA has to
# say that this is meant.
if(NOT COLA_NCCL STREQUAL "off")
  find_package(NCCL QUIET)
  if(NOT NCCL_FOUND AND (COLA_CUDA STREQUAL "on" OR COLA_NCCL STREQUAL "on"))
    message(FATAL_ERROR "NCCL (nccl.h, libnccl.so) was not found: load its module, or set NCCL_ROOT, NCCL_HOME or NCCL_DIR to "
                        "its folder, or CPATH and LIBRARY_PATH; -DCOLA_NCCL=off builds without it, for one GPU")
  elseif(NOT NCCL_FOUND)
    message(STATUS "NCCL was not found: several GPUs will exchange tensors through host memory, which is slow (NCCL_ROOT, "
                   "NCCL_HOME or NCCL_DIR names its folder)")
  endif()
endif()
