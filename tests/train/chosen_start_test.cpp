#include "train/checkpoints/chosen_start.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "support/test_folder.h"

namespace cola {
namespace {

TEST(ChosenStart, IsKnownAgainHoweverItIsSpelled) {
  const TestFolder folder;
  const std::string run = folder.path("");
  EXPECT_FALSE(find_chosen_start(run, "other/step-00000030"));
  note_chosen_start(run, "other/step-00000030/", 29);
  EXPECT_EQ(find_chosen_start(run, "./other/step-00000030"), 29);
  EXPECT_EQ(find_chosen_start(run, std::filesystem::absolute("other/step-00000030").string()), 29);
  EXPECT_FALSE(find_chosen_start(run, "other/step-00000040"));
  EXPECT_FALSE(find_chosen_start(run, "other"));
}

TEST(ChosenStart, TheLastOneCountsUntilItIsForgotten) {
  const TestFolder folder;
  const std::string run = folder.path("");
  forget_chosen_start(run);
  note_chosen_start(run, "/a b", 1);
  note_chosen_start(run, "/c", 2);
  EXPECT_FALSE(find_chosen_start(run, "/a b"));
  EXPECT_EQ(find_chosen_start(run, "/c"), 2);
  forget_chosen_start(run);
  EXPECT_FALSE(find_chosen_start(run, "/c"));
}

}  // namespace
}  // namespace cola
