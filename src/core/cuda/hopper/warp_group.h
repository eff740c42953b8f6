// Instructions of sm_90a for a group of four warps (PTX ISA: "Asynchronous Warpgroup Level Matrix
// Instructions"), one function each. All 128 threads of a group call them together. Products run beside the
// threads: neither the sums nor operands in registers may be touched before wait_for_products has returned.
#pragma once

#include <cstdint>

#include "core/cuda/hopper/warp_group_operands.h"

namespace cola::cuda::warp_group {

/// The descriptor of part `step` of the operand in this square.
template <Lies lies>
__device__ inline std::uint64_t part_of(const void* shared_square, int step) {
  return descriptor_of_part<lies>(static_cast<std::uint32_t>(__cvta_generic_to_shared(shared_square)), step);
}

#define COLA_SUMS(d)                                                                                       \
  "+f"(d[0][0]), "+f"(d[0][1]), "+f"(d[0][2]), "+f"(d[0][3]), "+f"(d[1][0]), "+f"(d[1][1]), "+f"(d[1][2]), \
      "+f"(d[1][3]), "+f"(d[2][0]), "+f"(d[2][1]), "+f"(d[2][2]), "+f"(d[2][3]), "+f"(d[3][0]),            \
      "+f"(d[3][1]), "+f"(d[3][2]), "+f"(d[3][3]), "+f"(d[4][0]), "+f"(d[4][1]), "+f"(d[4][2]),            \
      "+f"(d[4][3]), "+f"(d[5][0]), "+f"(d[5][1]), "+f"(d[5][2]), "+f"(d[5][3]), "+f"(d[6][0]),            \
      "+f"(d[6][1]), "+f"(d[6][2]), "+f"(d[6][3]), "+f"(d[7][0]), "+f"(d[7][1]), "+f"(d[7][2]),            \
      "+f"(d[7][3])
#define COLA_SUM_REGISTERS                                                                              \
  "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26," \
  "%27,%28,%29,%30,%31}"

/// Starts sums = (accumulate ? sums : 0) + left · right, both one part deep.
template <Lies left_lies, Lies right_lies>
__device__ inline void start_product(Sums& sums, std::uint64_t left, std::uint64_t right, bool accumulate) {
  asm volatile(
      "{\n"
      ".reg .pred accumulate;\n"
      "setp.ne.b32 accumulate, %34, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 " COLA_SUM_REGISTERS
      ", %32, %33, accumulate, 1, 1, %35, %36;\n"
      "}\n"
      : COLA_SUMS(sums)
      : "l"(left), "l"(right), "r"(static_cast<int>(accumulate)), "n"(static_cast<int>(left_lies)),
        "n"(static_cast<int>(right_lies)));
}
/// Starts sums += left · right.
template <Lies right_lies>
__device__ inline void start_product(Sums& sums, const Left& left, std::uint64_t right) {
  asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 " COLA_SUM_REGISTERS
               ", {%32,%33,%34,%35}, %36, 1, 1, 1, %37;\n"
               : COLA_SUMS(sums)
               : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "l"(right),
                 "n"(static_cast<int>(right_lies)));
}

#undef COLA_SUMS
#undef COLA_SUM_REGISTERS

/// Keeps the compiler from moving what writes or reads these registers to the other side of the call.
__device__ inline void pin(Sums& sums) {
#pragma unroll
  for (auto& tile : sums)
    asm volatile("" : "+f"(tile[0]), "+f"(tile[1]), "+f"(tile[2]), "+f"(tile[3]) : : "memory");
}
__device__ inline void pin(const Left& left) {
  asm volatile("" ::"r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]) : "memory");
}
template <int count>
__device__ inline void pin(const Left (&parts)[count]) {
#pragma unroll
  for (const Left& part : parts) pin(part);
}

/// To be called with the sums and left operands of products, after these registers have been written and
/// before the first of the products.
template <typename... Registers>
__device__ inline void prepare_products(Registers&... registers) {
  (pin(registers), ...);
  asm volatile("wgmma.fence.sync.aligned;\n" ::: "memory");
}

/// Closes the batch of products started since the last one.
__device__ inline void close_products() {
  asm volatile("wgmma.commit_group.sync.aligned;\n" ::: "memory");
}

/// Waits until at most `newest` batches are still under way. With the sums and left operands of those that
/// are not: only then may they be used.
template <int newest, typename... Registers>
__device__ inline void wait_for_products(Registers&... registers) {
  asm volatile("wgmma.wait_group.sync.aligned %0;\n" ::"n"(newest) : "memory");
  (pin(registers), ...);
}

/// Makes what this thread has written to shared memory visible to products, once others have met it at a
/// barrier.
__device__ inline void show_writes_to_products() {
  asm volatile("fence.proxy.async.shared::cta;\n" ::: "memory");
}

/// __syncthreads for one group, 0 or 1, of the block's. A barrier with a number known to the compiler: for
/// others it would reserve all sixteen.
__device__ inline void wait_for_group(int group) {
  if (group == 0)
    asm volatile("bar.sync 1, %0;\n" ::"n"(threads) : "memory");
  else
    asm volatile("bar.sync 2, %0;\n" ::"n"(threads) : "memory");
}

}  // namespace cola::cuda::warp_group
