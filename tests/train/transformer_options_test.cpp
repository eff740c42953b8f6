#include "train/configuration/transformer_options.h"

#include <gtest/gtest.h>

namespace cola {
namespace {

TEST(RecordablePasses, AreThoseWithoutWorkForOtherRanks) {
  EXPECT_EQ(recordable_passes(1, 3, 1), 1);
  EXPECT_EQ(recordable_passes(4, 0, 2), 3);
  EXPECT_EQ(recordable_passes(4, 1, 2), 2);
  EXPECT_EQ(recordable_passes(1, 1, 2), 0);
  EXPECT_EQ(recordable_passes(4, 2, 2), 0);
  EXPECT_EQ(recordable_passes(4, 3, 8), 0);
}

}  // namespace
}  // namespace cola
