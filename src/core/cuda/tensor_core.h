// Instructions of sm_80 and later that CUDA C++ has no name for (PTX ISA: "Warp Level Matrix Instructions",
// "Asynchronous copy", "ex2"), one function each. All 32 lanes of a warp call those on tiles together.
#pragma once

#include <cstdint>

namespace cola::cuda {

/// d += a · b for a bf16 tile a [16, 16], b [16, 8] and an fp32 tile d [16, 8]. With group = lane / 4 and
/// pair = 2 * (lane % 4), a lane holds
///   d: (group, pair), (group, pair + 1), (group + 8, pair), (group + 8, pair + 1);
///   a: two neighbouring columns a register: (group, pair), (group + 8, pair), (group, pair + 8),
///      (group + 8, pair + 8);
///   b: two neighbouring rows a register: (pair, group), (pair + 8, group).
__device__ inline void multiply_tiles(float (&d)[4], const std::uint32_t (&a)[4],
                                      const std::uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};\n"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/// Loads four 8 x 8 tiles of 16-bit elements from shared memory. Lanes 8i to 8i + 7 give the addresses of the
/// eight 16-byte rows of tile i; register i of a lane receives elements (lane / 4, 2 * (lane % 4)) and the
/// next of tile i.
__device__ inline void load_tiles(std::uint32_t (&tiles)[4], const void* shared_row) {
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(shared_row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
               : "=r"(tiles[0]), "=r"(tiles[1]), "=r"(tiles[2]), "=r"(tiles[3])
               : "r"(address)
               : "memory");
}

/// The same with every tile transposed: elements (2 * (lane % 4), lane / 4) and the one below it.
__device__ inline void load_tiles_transposed(std::uint32_t (&tiles)[4], const void* shared_row) {
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(shared_row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];\n"
               : "=r"(tiles[0]), "=r"(tiles[1]), "=r"(tiles[2]), "=r"(tiles[3])
               : "r"(address)
               : "memory");
}

/// Starts copying 16 bytes from global to shared memory; zeros where not `valid`. Finished by
/// wait_for_copies.
__device__ inline void start_copy_to_shared(void* shared, const void* global, bool valid) {
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(address), "l"(global),
               "r"(valid ? 16 : 0)
               : "memory");
}

/// Closes the group of copies that this thread has started since the last one.
__device__ inline void close_copy_group() {
  asm volatile("cp.async.commit_group;\n" ::: "memory");
}

/// Waits until at most `newest` of this thread's groups are still under way. Other threads' copies are seen
/// after __syncthreads().
template <int newest>
__device__ inline void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(newest) : "memory");
}

/// 2^x within two units in the last place; zero where that is below 2^-126.
__device__ inline float fast_exp2(float x) {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;\n" : "=f"(result) : "f"(x));
  return result;
}

}  // namespace cola::cuda
