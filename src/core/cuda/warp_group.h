// Instructions of sm_90a for a group of four warps (PTX ISA: "Asynchronous Warpgroup Level Matrix
// Instructions"), one function each. All 128 threads of a group call them together. Products run beside the
// threads: neither the sums nor operands in registers may be touched before wait_for_products has returned.
#pragma once

#include <cstdint>

#include "core/cuda/warp_group_operands.h"

namespace cola::cuda::warp_group {

/// Part `step` of an operand, `depth` deep: the matrix descriptor of the PTX ISA. Squares have no second
/// square beside them, so that the leading offset is never used; the other is that of the next eight rows.
template <Lies lies>
__device__ inline std::uint64_t part_of(const void* shared_square, int step) {
  constexpr std::uint32_t step_bytes = lies == Lies::along_rows ? depth * 2 : depth * 128;
  constexpr std::uint64_t leading = 1, eight_rows = 8 * 128 >> 4, swizzle_128 = 1;
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(shared_square)) +
                       static_cast<std::uint32_t>(step) * step_bytes;
  return (std::uint64_t{address} & 0x3ffff) >> 4 | leading << 16 | eight_rows << 32 | swizzle_128 << 62;
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

/// To be called before the first product after registers that it takes have been written.
__device__ inline void prepare_products() {
  asm volatile("wgmma.fence.sync.aligned;\n" ::: "memory");
}

/// Closes the batch of products started since the last one.
__device__ inline void close_products() {
  asm volatile("wgmma.commit_group.sync.aligned;\n" ::: "memory");
}

/// Waits until at most `newest` batches are still under way.
template <int newest>
__device__ inline void wait_for_products() {
  asm volatile("wgmma.wait_group.sync.aligned %0;\n" ::"n"(newest) : "memory");
}
/// Keeps the compiler from using sums before the wait in front of it.
__device__ inline void receive(Sums& sums) {
#pragma unroll
  for (auto& tile : sums)
    asm volatile("" : "+f"(tile[0]), "+f"(tile[1]), "+f"(tile[2]), "+f"(tile[3]) : : "memory");
}

/// Keeps the compiler from giving the registers of a left operand to something else before the wait in front
/// of it.
__device__ inline void release(const Left& left) {
  asm volatile("" ::"r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]) : "memory");
}

/// Makes what this thread has written to shared memory visible to products, once others have met it at a
/// barrier.
__device__ inline void show_writes_to_products() {
  asm volatile("fence.proxy.async.shared::cta;\n" ::: "memory");
}

/// __syncthreads for one group of the block's.
__device__ inline void wait_for_group(int group) {
  asm volatile("bar.sync %0, %1;\n" ::"r"(group + 1), "n"(threads) : "memory");
}

}  // namespace cola::cuda::warp_group
