#include "dist/gpu_place.h"

#include <gtest/gtest.h>

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

TEST(SharedGpu, IsRecognizedInEitherCaseOfItsNumber) {
  EXPECT_NE(find_shared({gpu_place("00000000:A5:00.0", "n1"), gpu_place("00000000:a5:00.0", "n1")}), "");
}

}  // namespace
}  // namespace cola
