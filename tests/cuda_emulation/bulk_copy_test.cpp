// Kernels of assembly: barriers in shared memory, bulk copies that complete them, and their misuse.
#include <gtest/gtest.h>

#include <numeric>

#include "assembly.h"
#include "device_array.h"
#include "tensor_map.h"
#include "warp_group_operations.h"

namespace cola::emulation {
namespace {

constexpr int columns = 32, rows = 8, box_bytes = columns * rows * 2;
using Halves = std::vector<std::uint16_t>;

// Boxes of 8 rows of 32 columns, 64 bytes, of a matrix whose rows are 40 apart.
CUtensorMap map_of(const DeviceArray<std::uint16_t>& matrix, std::uint64_t matrix_rows, std::uint64_t width) {
  CUtensorMap map;
  const cuuint64_t sizes[2] = {width, matrix_rows}, strides[1] = {80};
  const cuuint32_t box[2] = {columns, rows}, ones[2] = {1, 1};
  EXPECT_EQ(encode_tensor_map(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, matrix.data(), sizes, strides, box,
                              ones, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_64B,
                              CU_TENSOR_MAP_L2_PROMOTION_NONE, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE),
            CUDA_SUCCESS);
  return map;
}
Halves numbered(std::size_t count) {
  Halves values(count);
  std::iota(values.begin(), values.end(), std::uint16_t{1});
  return values;
}

// --- Instructions, as CUTLASS's headers have them

#define ASSEMBLY(...) assembly(Site::current(), __VA_ARGS__)

void make_barrier(std::uint32_t barrier, std::uint32_t arrivals) {
  ASSEMBLY("{\n\tmbarrier.init.shared::cta.b64 [%1], %0; \n}", input(arrivals), input(barrier));
}
void expect(std::uint32_t barrier, std::uint32_t bytes) {
  ASSEMBLY("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%1], %0;", input(bytes), input(barrier));
}
void arrive(std::uint32_t barrier) {
  ASSEMBLY("mbarrier.arrive.shared::cta.b64 _, [%0];", input(barrier));
}
void wait(std::uint32_t barrier, std::uint32_t parity) {
  ASSEMBLY(
      "{.reg .pred P1; LAB_WAIT: mbarrier.try_wait.parity.shared::cta.b64 P1, [%0], %1;\n"
      "@P1 bra DONE; bra LAB_WAIT; DONE: }",
      input(barrier), input(parity));
}
bool is_over(std::uint32_t barrier, std::uint32_t parity) {
  std::uint32_t result;
  ASSEMBLY("{.reg .pred P1; mbarrier.test_wait.parity.shared::cta.b64 P1, [%1], %2; selp.b32 %0, 1, 0, P1;}",
           output(result), input(barrier), input(parity));
  return result != 0;
}
void load(std::uint32_t to, const CUtensorMap* map, int column, int row, std::uint32_t barrier) {
  ASSEMBLY(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint"
      " [%0], [%1, {%3, %4}], [%2], %5;",
      input(to), input(map), input(barrier), input(column), input(row), input(std::uint64_t{0}));
}
void store(const CUtensorMap* map, std::uint32_t from, int column, int row) {
  ASSEMBLY("cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%0, {%2, %3}], [%1];", input(map),
           input(from), input(column), input(row));
  ASSEMBLY("cp.async.bulk.commit_group;");
}
void wait_for_reading() {
  ASSEMBLY("cp.async.bulk.wait_group.read %0;", input(0));
}
void wait_for_stores() {
  ASSEMBLY("cp.async.bulk.wait_group %0;", input(0));
}
void show_writes() {
  ASSEMBLY("fence.proxy.async.shared::cta;");
}

// --- Kernels: a box at the beginning of shared memory, a barrier behind it

const cuda::LaunchShape one_warp{dim3(1), dim3(32), box_bytes + 8, 1024};

std::uint32_t box() {
  return shared_address(dynamic_shared_memory());
}
std::uint32_t barrier() {
  return box() + box_bytes;
}
std::uint16_t& element(int row, int column) {
  const int offset = row * 64 + ((column / 8) ^ (row / 2 % 4)) * 16 + column % 8 * 2;
  return *reinterpret_cast<std::uint16_t*>(dynamic_shared_memory() + offset);
}

__global__ void copy_out(CUtensorMap map, int column, int row, std::uint32_t bytes, bool waits,
                         std::uint16_t* out) {
  if (threadIdx.x == 0) {
    make_barrier(barrier(), 1);
    expect(barrier(), bytes);
    load(box(), &map, column, row, barrier());
  }
  __syncwarp();
  if (waits) wait(barrier(), 0);
  for (int i = 0; i < rows; ++i) out[i * columns + threadIdx.x] = element(i, static_cast<int>(threadIdx.x));
}

TEST(EmulatedBulkCopy, LoadsABoxAndZerosOutsideTheArray) {
  const Halves values = numbered(11 * 40);
  const DeviceArray<std::uint16_t> matrix(values), out(rows * columns);
  for (const auto& [column, row] : {std::pair{0, 0}, {8, 2}, {16, 6}, {24, 16}}) {
    EXPECT_EQ(run(one_warp, copy_out, map_of(matrix, 11, 36), column, row, box_bytes, true, out.data()), "");
    Halves expected(rows * columns);
    for (int i = 0; i < rows; ++i)
      for (int j = 0; j < columns; ++j)
        if (row + i < 11 && column + j < 36) expected[i * columns + j] = values[(row + i) * 40 + column + j];
    EXPECT_EQ(out.values(), expected) << column << " " << row;
  }
}

TEST(EmulatedBulkCopy, NothingHasArrivedBeforeTheWait) {
  const DeviceArray<std::uint16_t> matrix(numbered(8 * 40)), out(rows * columns);
  EXPECT_TRUE(says(run(one_warp, copy_out, map_of(matrix, 8, 32), 0, 0, box_bytes, false, out.data()),
                   "ends while copies to the mbarrier"));
}

TEST(EmulatedBulkCopy, WrongNumbersOfBytesAreFound) {
  const DeviceArray<std::uint16_t> matrix(numbered(8 * 40)), out(rows * columns);
  const CUtensorMap map = map_of(matrix, 8, 32);
  EXPECT_TRUE(says(run(one_warp, copy_out, map, 0, 0, box_bytes - 16, true, out.data()), "bring 512 bytes"));
  EXPECT_TRUE(
      says(run(one_warp, copy_out, map, 0, 0, box_bytes + 16, true, out.data()), "has 512 of 528 bytes"));
}

TEST(EmulatedBulkCopy, MapsThatAreNoneAreFound) {
  const DeviceArray<std::uint16_t> out(rows * columns);
  EXPECT_TRUE(
      says(run(one_warp, copy_out, CUtensorMap{}, 0, 0, box_bytes, true, out.data()), "no tensor map"));
}

TEST(EmulatedBulkCopy, ArraysThatEndBeforeTheirMapDoAreFound) {
  const DeviceArray<std::uint16_t> matrix(numbered(7 * 40)), out(rows * columns);
  EXPECT_TRUE(says(run(one_warp, copy_out, map_of(matrix, 8, 32), 0, 0, box_bytes, true, out.data()),
                   "not within one array"));
}

enum class Fault { none, no_fence, no_barrier, no_wait, early_reuse };
__global__ void copy_in(CUtensorMap map, int column, int row, Fault fault) {
  for (int i = 0; i < rows; ++i)
    element(i, static_cast<int>(threadIdx.x)) = static_cast<std::uint16_t>(100 * i + threadIdx.x);
  if (fault != Fault::no_fence) show_writes();
  if (fault != Fault::no_barrier) __syncthreads();
  if (threadIdx.x == 0) store(&map, box(), column, row);
  if (fault == Fault::early_reuse) {
    __syncthreads();
    if (threadIdx.x == 31) element(0, 0) = 9999;
    __syncthreads();
  }
  if (threadIdx.x == 0 && fault != Fault::no_wait) wait_for_reading();
}

TEST(EmulatedBulkCopy, StoresWhatLiesInTheArrayAndNothingElse) {
  const DeviceArray<std::uint16_t> matrix(Halves(11 * 40, 7));
  EXPECT_EQ(run(one_warp, copy_in, map_of(matrix, 11, 36), 8, 5, Fault::none), "");
  Halves expected(11 * 40, 7);
  for (int i = 0; i < 6; ++i)
    for (int j = 0; j < 28; ++j) expected[(5 + i) * 40 + 8 + j] = static_cast<std::uint16_t>(100 * i + j);
  EXPECT_EQ(matrix.values(), expected);
}

TEST(EmulatedBulkCopy, StoresOfWhatIsNotReadyAreFound) {
  const DeviceArray<std::uint16_t> matrix(Halves(8 * 40, 7));
  const CUtensorMap map = map_of(matrix, 8, 32);
  EXPECT_TRUE(says(run(one_warp, copy_in, map, 0, 0, Fault::no_fence), "without fence.proxy.async"));
  EXPECT_TRUE(says(run(one_warp, copy_in, map, 0, 0, Fault::no_barrier), "and a barrier after it"));
  EXPECT_TRUE(says(run(one_warp, copy_in, map, 0, 0, Fault::no_wait), "ends while bulk copies read"));
  EXPECT_TRUE(says(run(one_warp, copy_in, map, 0, 0, Fault::early_reuse), "after its start and before"));
}

// What was fenced before a barrier does not stand for what is written after it, whichever warp writes first.
__global__ void store_among_others(CUtensorMap map) {
  show_writes();
  __syncthreads();
  const auto warp = static_cast<int>(threadIdx.x / 32);
  for (int i = warp * rows / 2; i < (warp + 1) * rows / 2; ++i)
    element(i, static_cast<int>(threadIdx.x % 32)) = 5;
  show_writes();
  if (threadIdx.x == 0) store(&map, box(), 0, 0);
  __syncthreads();
  if (threadIdx.x == 0) wait_for_reading();
}

TEST(EmulatedBulkCopy, StoresThatDoNotWaitForOtherWarpsAreFoundInAnyOrder) {
  const DeviceArray<std::uint16_t> matrix(Halves(8 * 40, 7));
  const cuda::LaunchShape two_warps{dim3(1), dim3(64), box_bytes, 1024};
  for (int i = 0; i < 10; ++i)
    EXPECT_TRUE(says(run(two_warps, store_among_others, map_of(matrix, 8, 32)), "and a barrier after it"));
}

// Two boxes of the same bytes, one below the other in the matrix.
__global__ void look_after_waiting(CUtensorMap map, const std::uint16_t* matrix, std::uint16_t* out) {
  for (int i = 0; i < rows; ++i) element(i, static_cast<int>(threadIdx.x)) = 5;
  show_writes();
  __syncthreads();
  if (threadIdx.x != 0) return;
  store(&map, box(), 0, 0);
  store(&map, box(), 0, 8);
  wait_for_reading();
  out[0] = matrix[0];
  ASSEMBLY("cp.async.bulk.wait_group %0;", input(1));
  out[1] = matrix[0];
  out[2] = matrix[8 * 40];
  wait_for_stores();
  out[3] = matrix[8 * 40];
}

TEST(EmulatedBulkCopy, StoresThatHaveReadAreNotYetInGlobalMemory) {
  const DeviceArray<std::uint16_t> matrix(Halves(16 * 40, 7)), out(4);
  EXPECT_EQ(run(one_warp, look_after_waiting, map_of(matrix, 16, 32), matrix.data(), out.data()), "");
  EXPECT_EQ(out.values(), (Halves{7, 5, 7, 5}));
}

// --- Barriers alone

__global__ void phases(int* out, int phases_before, int arrivals) {
  if (threadIdx.x == 0) make_barrier(barrier(), 32);
  __syncwarp();
  for (int i = 0; i < phases_before; ++i) {
    arrive(barrier());
    wait(barrier(), static_cast<std::uint32_t>(i % 2));
  }
  __syncwarp();
  if (threadIdx.x == 0) {
    out[0] = is_over(barrier(), 0);
    out[1] = is_over(barrier(), 1);
  }
  if (static_cast<int>(threadIdx.x) < arrivals) arrive(barrier());
  if (arrivals > 0) wait(barrier(), static_cast<std::uint32_t>(phases_before % 2));
}

TEST(EmulatedMemoryBarrier, PhasesTakeTurns) {
  for (const int before : {0, 1, 2, 3}) {
    const DeviceArray<int> out(2);
    EXPECT_EQ(run(one_warp, phases, out.data(), before, 32), "");
    EXPECT_EQ(out.values(), (std::vector{before % 2, 1 - before % 2}));
  }
}

TEST(EmulatedMemoryBarrier, ThreadsThatWaitForEverAreFound) {
  const DeviceArray<int> out(2);
  EXPECT_TRUE(says(run(one_warp, phases, out.data(), 1, 31), "lacks 1 of 32 arrivals"));
}

__global__ void misuse(int which) {
  if (threadIdx.x != 0) return;
  if (which > 0) make_barrier(barrier(), 1);
  if (which == 1) make_barrier(barrier(), 1);
  if (which == 2) *reinterpret_cast<int*>(dynamic_shared_memory() + box_bytes) = 0;
  if (which == 3) ASSEMBLY("mbarrier.arrive.noComplete.shared::cta.b64 _, [%0], 1;", input(barrier()));
  if (which == 4) expect(barrier(), 16);
  arrive(barrier());
}

TEST(EmulatedMemoryBarrier, MisuseIsFound) {
  EXPECT_TRUE(says(run(one_warp, misuse, 0), "no mbarrier has been made"));
  EXPECT_TRUE(says(run(one_warp, misuse, 1), "is in use"));
  EXPECT_TRUE(says(run(one_warp, misuse, 2), "was overwritten"));
  EXPECT_TRUE(says(run(one_warp, misuse, 3), "mbarrier.arrive.noComplete.shared::cta.b64"));
  EXPECT_TRUE(says(run(one_warp, misuse, 4), "more than 1 threads arrive"));
}

// --- Matrices between registers and shared memory

__global__ void turn_matrices(std::uint16_t* out) {
  const unsigned lane = threadIdx.x;
  const std::uint32_t row = box() + lane * 16;
  std::uint32_t values[4];
  for (unsigned i = 0; i < 4; ++i) values[i] = (lane * 8 + 2 * i) | (lane * 8 + 2 * i + 1) << 16;
  ASSEMBLY("stmatrix.sync.aligned.x4.m8n8.shared.b16 [%0], {%1, %2, %3, %4};\n", input(row), input(values[0]),
           input(values[1]), input(values[2]), input(values[3]));
  __syncwarp();
  for (unsigned i = 0; i < 8; ++i)
    out[lane * 8 + i] = reinterpret_cast<std::uint16_t*>(dynamic_shared_memory())[lane * 8 + i];
  std::uint32_t back[4];
  ASSEMBLY("ldmatrix.sync.aligned.x4.m8n8.shared.b16 {%0, %1, %2, %3}, [%4];\n", output(back[0]),
           output(back[1]), output(back[2]), output(back[3]), input(row));
  for (unsigned i = 0; i < 4; ++i) out[256 + lane * 4 + i] = back[i] == values[i];
}

TEST(EmulatedMatrices, LieAsThePtxManualSays) {
  const DeviceArray<std::uint16_t> out(256 + 128);
  EXPECT_EQ(run(one_warp, turn_matrices, out.data()), "");
  const auto values = out.values();
  for (unsigned matrix = 0; matrix < 4; ++matrix)
    for (unsigned row = 0; row < 8; ++row)
      for (unsigned column = 0; column < 8; ++column)
        EXPECT_EQ(values[matrix * 64 + row * 8 + column],
                  (row * 4 + column / 2) * 8 + 2 * matrix + column % 2);
  for (unsigned i = 0; i < 128; ++i) EXPECT_EQ(values[256 + i], 1);
}

}  // namespace
}  // namespace cola::emulation
