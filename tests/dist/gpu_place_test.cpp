#include "dist/placement/gpu_place.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

namespace cola {
namespace {

std::string find_shared(const std::vector<std::string>& places) {
  return find_shared_gpu(places);
}

TEST(SharedGpu, IsNoneWhereEachRankHasItsOwn) {
  EXPECT_EQ(find_shared({}), "");
  EXPECT_EQ(find_shared({gpu_place("0000:65:00.0", "n1")}), "");
  EXPECT_EQ(find_shared({gpu_place("0000:65:00.0", "n1"), gpu_place("0000:17:00.0", "n1"),
                         gpu_place("0000:65:00.0", "n2"), gpu_place("0000:17:00.0", "n2")}),
            "");
}

TEST(SharedGpu, IsNoneAmongRanksWithoutOne) {
  EXPECT_EQ(find_shared({"", "", gpu_place("0000:65:00.0", "n1")}), "");
}

TEST(SharedGpu, IsNamedWithAllItsRanks) {
  EXPECT_EQ(find_shared({gpu_place("0000:65:00.0", "n1"), gpu_place("0000:65:00.0", "n1")}),
            "ranks 0 and 1 share GPU 0000:65:00.0 on n1");
  EXPECT_EQ(find_shared({gpu_place("0000:17:00.0", "n1"), gpu_place("0000:65:00.0", "n1"),
                         gpu_place("0000:65:00.0", "n2"), gpu_place("0000:65:00.0", "n1"),
                         gpu_place("0000:65:00.0", "n1")}),
            "ranks 1, 3 and 4 share GPU 0000:65:00.0 on n1");
}

// Pairs of ranks were compared once: minutes at this size.
TEST(SharedGpu, IsLookedForQuicklyAmongManyRanks) {
  std::vector<std::string> places;
  for (int rank = 0; rank < 40000; ++rank)
    places.push_back(gpu_place("0000:65:00.0", "a-node-with-a-long-name-" + std::to_string(rank)));
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(find_shared_gpu(places), "");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(2));
}

std::string find_uneven(const std::vector<std::string>& places) {
  return find_uneven_sharing(places);
}

TEST(UnevenSharing, NamesTheHostThatLacksAGpu) {
  const std::string first = gpu_place("0000:17:00.0", "n1"), second = gpu_place("0000:65:00.0", "n1"),
                    other = gpu_place("0000:65:00.0", "n2");
  EXPECT_EQ(
      find_uneven({first, second, other, other}),
      "ranks 2 and 3 share GPU 0000:65:00.0 on n2, where other hosts have one for each rank: has a GPU of "
      "n2 failed? Start without that host (Slurm: --exclude=n2), or set parallel.collectives: mpi");
  EXPECT_NE(find_uneven({other, other, first, second, ""}).find("ranks 0 and 1 share GPU"),
            std::string::npos);
}

TEST(UnevenSharing, IsNoneWhereHostsAreAlike) {
  const std::string first = gpu_place("0000:17:00.0", "n1"), second = gpu_place("0000:65:00.0", "n1"),
                    other = gpu_place("0000:65:00.0", "n2");
  EXPECT_EQ(find_uneven({first, second, other}), "");
  EXPECT_EQ(find_uneven({first, first, other, other, other}), "");
  EXPECT_EQ(find_uneven({first, first, second}), "");
  EXPECT_EQ(find_uneven({}), "");
}

TEST(SharedGpu, IsRecognizedInEitherCaseOfItsNumber) {
  EXPECT_NE(find_shared({gpu_place("00000000:A5:00.0", "n1"), gpu_place("00000000:a5:00.0", "n1")}), "");
}

}  // namespace
}  // namespace cola
