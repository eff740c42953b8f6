#include "train/rank_times.h"

#include <gtest/gtest.h>

namespace cola {
namespace {

TEST(RankTimes, NamesTheSlowestAndTheMedian) {
  EXPECT_EQ(rank_times_of({1.5}), (RankTimes{0, 1.5, 1.5}));
  EXPECT_EQ(rank_times_of({3, 1, 7, 2, 5}), (RankTimes{2, 7, 3}));
  EXPECT_EQ(rank_times_of({2, 4, 4, 1}), (RankTimes{1, 4, 3}));  // the first of two
}

TEST(RankTimes, AreTheSameOnAllRanks) {
  run_on_threads(4, [](Communicator& communicator) {
    const double own = communicator.rank() == 2 ? 0.75 : 0.25;
    EXPECT_EQ(compare_ranks(communicator, own), (RankTimes{2, 0.75, 0.25}));
    // A clock that counted more waiting than there was time.
    EXPECT_EQ(compare_ranks(communicator, -1e-9), (RankTimes{0, 0, 0}));
  });
}

TEST(SlowRankSearch, FindsARankThatIsSlowForLong) {
  SlowRankSearch search;
  const RankTimes slow{3, 1.2, 1.0};
  const auto note = [&](const RankTimes& step, int steps) {
    for (int i = 0; i < steps; ++i) search.note(step);
  };
  note(slow, SlowRankSearch::patience - 1);
  EXPECT_FALSE(search.found());
  note(slow, 1);
  EXPECT_EQ(search.found(), slow);
  for (const RankTimes& other : {RankTimes{4, 1.2, 1.0}, RankTimes{3, 1.09, 1.0}}) {
    note(other, 1);
    EXPECT_FALSE(search.found());
    note(slow, SlowRankSearch::patience - 1);
    EXPECT_FALSE(search.found());
    note(slow, 1);
    EXPECT_TRUE(search.found());
  }
}

}  // namespace
}  // namespace cola
