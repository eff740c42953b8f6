// Kernels whose threads share memory, with and without what orders them. In a file of their own, compiled
// with calls before every access (observed_code.cpp).
#pragma once

#include "kernel_prelude.h"

namespace cola::emulation {

/// Each thread of 64 reads what its mirror image wrote; without `wait` in no order.
__global__ void read_of_another_warp(int* out, bool wait);
/// What is read after a barrier is overwritten after another one, or without it.
__global__ void write_after_read(int* out, bool wait);
/// The lanes of one warp, with __syncwarp or with a shuffle alone between them.
__global__ void exchange_in_warp(int* out, bool wait);
/// Four warps meet; a fifth, which does not take part, reads what they wrote, or waits for the whole block.
__global__ void read_beside_a_group(int* out, bool wait);
/// A copy that its own thread has waited for is read by others, with or without a barrier.
__global__ void read_a_copy(const int* in, int* out, bool wait);
/// A matrix that one warp has written is loaded by the other.
__global__ void load_of_another_warp(int* out, bool wait);
/// Four warps multiply what the four have written; they meet before it, or only while it is under way.
__global__ void multiply_early(int* out, bool wait);
/// The same, where all warps fence what they have written, or one of them for all.
__global__ void multiply_what_all_wrote(int* out, bool all_fence);
/// Neighbouring halves of a word belong to different threads.
__global__ void write_neighbours(int* out);

}  // namespace cola::emulation
