#include "train/agreement.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "dist/watched_communicator.h"

namespace cola {
namespace {

using namespace std::chrono_literals;

// Runs `body` on ranks each of which may be inside a collective for one second; false if one was for longer.
bool nobody_gets_stuck(int ranks, const std::function<void(Communicator&)>& body) {
  std::atomic<bool> stuck = false;
  run_on_threads(ranks, [&](Communicator& threads) {
    Watchdog watchdog([&] { stuck = true; }, 60s);
    const auto watched = make_watched_communicator(threads.split(0), watchdog);
    watchdog.start(1s);
    body(*watched);
  });
  return !stuck;
}

TEST(Agreement, WhatRank0DoesForLongLeavesNobodyStuck) {
  EXPECT_TRUE(nobody_gets_stuck(3, [](Communicator& ranks) {
    bool done = false;
    on_rank_0(ranks, [&] {
      std::this_thread::sleep_for(2500ms);
      done = true;
    });
    EXPECT_EQ(done, ranks.rank() == 0);
  }));
}

TEST(Agreement, ARankWithMoreToDoIsWaitedFor) {
  std::atomic<int> ended = 0;
  EXPECT_TRUE(nobody_gets_stuck(3, [&](Communicator& ranks) {
    const std::string error = error_of_slow(ranks, [&] {
      std::this_thread::sleep_for(1250ms * ranks.rank());
      ++ended;
      if (ranks.rank() == 2) throw FileError("shard: damaged");
    });
    EXPECT_EQ(error, ranks.rank() == 2 ? "shard: damaged" : "");
    EXPECT_EQ(ended, 3);
  }));
}

TEST(Agreement, AnErrorOfOneRankIsThrownOnAllAsThatRanks) {
  std::atomic<int> thrown = 0;
  run_on_threads(3, [&](Communicator& ranks) {
    require_none(ranks, "");
    try {
      require_none(ranks, ranks.rank() == 0 ? "" : fmt::format("disk {} is full", ranks.rank()));
    } catch (const RankError& error) {
      EXPECT_EQ(error.rank, 1);
      EXPECT_EQ(error.what(), std::string("disk 1 is full"));
      ++thrown;
    }
  });
  EXPECT_EQ(thrown, 3);
}

TEST(Agreement, ARankIsAloneWithAnErrorThatOthersLookedForInVain) {
  const auto alone = [](const std::vector<bool>& looked, const std::vector<bool>& found) {
    std::atomic<int> counted = 0;
    run_on_threads(3, [&](Communicator& ranks) {
      const auto rank = static_cast<std::size_t>(ranks.rank());
      try {
        require_none(ranks, found[rank] ? "no such file" : "", looked[rank]);
      } catch (const RankError& error) {
        if (error.alone) ++counted;
      }
    });
    EXPECT_TRUE(counted == 0 || counted == 3);
    return counted == 3;
  };
  EXPECT_TRUE(alone({true, true, true}, {false, true, false}));
  EXPECT_TRUE(alone({true, true, false}, {false, true, false}));
  EXPECT_FALSE(alone({true, true, true}, {true, true, true}));
  EXPECT_FALSE(alone({false, true, false}, {false, true, false}));
}

TEST(Agreement, AnErrorOfRank0IsThrownOnAllRanks) {
  run_on_threads(2, [](Communicator& ranks) {
    EXPECT_THROW(on_rank_0(ranks, [] { throw FileError("no room"); }), UsageError);
  });
}

}  // namespace
}  // namespace cola
