// Threads that share memory with nothing between them, found whatever order they run in.
#include "race_check.h"

#include <gtest/gtest.h>

#include "device_array.h"
#include "racing_kernels.h"

namespace cola::emulation {
namespace {

// Of `threads` threads, many times: the order in which they run is drawn anew. Kernels take their inputs,
// where to write, and whether to wait for one another.
template <typename Kernel, typename... Inputs>
void expect_race_without_barrier(Kernel kernel, unsigned threads, Inputs... inputs) {
  const DeviceArray<int> out(threads);
  const cuda::LaunchShape shape{dim3(2), dim3(threads), 10 << 10};
  for (int time = 0; time < 8; ++time) {
    EXPECT_EQ(run(shape, kernel, inputs..., out.data(), true), "");
    const std::string said = run(shape, kernel, inputs..., out.data(), false);
    EXPECT_TRUE(says(said, "of shared memory")) << said;
    EXPECT_TRUE(says(said, "nothing orders the two"));
  }
}

TEST(RaceCheck, FindsReadsAndWritesOfAnotherWarp) {
  expect_race_without_barrier(read_of_another_warp, 64);
}
TEST(RaceCheck, FindsWhatIsOverwrittenTooEarly) {
  expect_race_without_barrier(write_after_read, 64);
}
TEST(RaceCheck, DoesNotTakeAShuffleForABarrier) {
  expect_race_without_barrier(exchange_in_warp, 32);
}
TEST(RaceCheck, KnowsWhoTookPartInABarrier) {
  expect_race_without_barrier(read_beside_a_group, 160);
}

TEST(RaceCheck, CountsWhatMatrixInstructionsRead) {
  expect_race_without_barrier(load_of_another_warp, 64);
}
TEST(RaceCheck, CountsWhatProductsReadFromTheirStart) {
  expect_race_without_barrier(multiply_early, 128);
}

TEST(RaceCheck, WarpsFenceTheirOwnWritesAlone) {
  const DeviceArray<int> out(128);
  const cuda::LaunchShape shape{dim3(1), dim3(128), 10 << 10};
  EXPECT_EQ(run(shape, multiply_what_all_wrote, out.data(), true), "");
  EXPECT_TRUE(
      says(run(shape, multiply_what_all_wrote, out.data(), false), "written to without fence.proxy.async"));
}

TEST(RaceCheck, CopiesArriveForTheirOwnThreadAlone) {
  const DeviceArray<int> in(std::vector<int>(64, 1));
  expect_race_without_barrier(read_a_copy, 64, in.data());
}

TEST(RaceCheck, HalvesOfAWordAreNotShared) {
  const DeviceArray<int> out(64);
  EXPECT_EQ(run({dim3(1), dim3(64)}, write_neighbours, out.data()), "");
}

// What two warps know of each other may come through a third.
TEST(RaceCheck, OrderPassesThroughOthers) {
  RaceCheck races;
  const std::uint32_t first_two[] = {0, 1}, last_two[] = {1, 2};
  for (const bool in_time : {true, false}) {
    races.begin_block(3);
    if (in_time) {
      EXPECT_FALSE(races.write(0, 100, 4, nullptr));
    }
    races.order_warps(first_two);
    if (!in_time) {
      EXPECT_FALSE(races.write(0, 100, 4, nullptr));
    }
    races.order_warps(last_two);
    EXPECT_EQ(races.read(64, 100, 4, nullptr).has_value(), !in_time);
  }
}

TEST(RaceCheck, NamesBothThreads) {
  RaceCheck races;
  races.begin_block(2);
  EXPECT_FALSE(races.write(3, 16, 8, nullptr));
  EXPECT_EQ(races.read(40, 20, 4, nullptr),
            "reads byte 20 of shared memory at an unknown place, which thread 3 wrote at an unknown place");
  races.order_block();
  EXPECT_FALSE(races.read(40, 20, 4, nullptr));
  EXPECT_FALSE(races.read(41, 20, 4, nullptr));
  EXPECT_EQ(
      races.write(3, 16, 8, nullptr),
      "writes byte 20 of shared memory at an unknown place, which several lanes of warp 1 read at an unknown "
      "place");
}

}  // namespace
}  // namespace cola::emulation
