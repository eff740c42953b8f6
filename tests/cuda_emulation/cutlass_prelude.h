// What CUTLASS's headers need beside kernel_prelude.h, once translate_assembly.py has gone through them:
// which GPU they are for, and declarations of what only kernels for others call.
#pragma once

#include <cstddef>

#include "assembly.h"
#include "kernel_prelude.h"
#include "warp_group_operations.h"

#define COLA_EMULATED_ARCH 900
#define __CUDA_ARCH_FEAT_SM90_ALL
#define CUTLASS_ARCH_MMA_SM90_ENABLED 1
#define CUTLASS_ARCH_MMA_SM90A_ENABLED 1
#define __CUDACC_VER_MAJOR__ 13
#define __CUDACC_VER_MINOR__ 0

#undef __grid_constant__
#define __grid_constant__
#undef __shared__  // of kernels that are not launched
#define __shared__

inline std::size_t __cvta_generic_to_shared(const void* memory) {
  return cola::emulation::shared_address(memory);
}
int __syncthreads_and(int);
void __threadfence();
