#include "dist/watchdog.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "core/error.h"
#include "core/log.h"
#include "dist/watched_communicator.h"

namespace cola {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int exit_by_watchdog = 41;

void sleep_for(milliseconds time) {
  std::this_thread::sleep_for(time);
}
[[noreturn]] void end_process() {
  std::_Exit(exit_by_watchdog);
}

// Each in a process of its own, as a watchdog ends the one it lives in.
class WatchdogDeath : public ::testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(WatchdogDeath, EndsTheJobThatIsStuckAndNamesTheOperation) {
  const auto get_stuck = [] {
    Watchdog watchdog(end_process);
    watchdog.start(milliseconds(200));
    const Watchdog::Inside inside(watchdog, "the all-gather of weights");
    sleep_for(seconds(20));
  };
  EXPECT_EXIT(get_stuck(), ::testing::ExitedWithCode(exit_by_watchdog),
              "error: stuck in the all-gather of weights for 0 s: another rank is dead");
}

TEST_F(WatchdogDeath, HandsTheProblemToWhoWantsTheLastWord) {
  const auto get_stuck = [] {
    Watchdog watchdog(end_process);
    watchdog.set_last_word([](const std::string& problem) { log_warning("the last word: " + problem); });
    watchdog.start(milliseconds(100));
    const Watchdog::Inside inside(watchdog, "a barrier");
    sleep_for(seconds(20));
  };
  EXPECT_EXIT(get_stuck(), ::testing::ExitedWithCode(exit_by_watchdog), "the last word: stuck in a barrier");
}

TEST_F(WatchdogDeath, EndsTheProcessWhereTheJobCannotBeEnded) {
  const auto get_stuck = [] {
    Watchdog watchdog([] { sleep_for(seconds(20)); }, seconds(1));
    watchdog.start(milliseconds(100));
    const Watchdog::Inside inside(watchdog, "a barrier");
    sleep_for(seconds(20));
  };
  EXPECT_EXIT(get_stuck(), ::testing::ExitedWithCode(exit_failed), "stuck in a barrier");
}

// Collectives beside the host, as a GPU has them.
class Background final : public BackgroundCollectives {
 public:
  explicit Background(std::function<std::optional<Operation>()> ask) : ask_(std::move(ask)) {}
  std::optional<Operation> under_way() override { return ask_(); }
  void abandon() noexcept override { std::fputs("abandoned\n", stderr); }

 private:
  std::function<std::optional<Operation>()> ask_;
};

TEST_F(WatchdogDeath, EndsTheJobWhenACollectiveInTheBackgroundIsStuck) {
  const auto get_stuck = [] {
    Watchdog watchdog(end_process);
    Background background([] { return BackgroundCollectives::Operation{"the all-reduce of gradients", 7}; });
    watchdog.add(background);
    watchdog.start(milliseconds(100));
    sleep_for(seconds(20));
  };
  EXPECT_EXIT(get_stuck(), ::testing::ExitedWithCode(exit_by_watchdog),
              "stuck in the all-reduce of gradients.*\nabandoned");
}

// As a GPU's driver may, whose locks are held by a thread that waits for another rank.
TEST_F(WatchdogDeath, EndsTheJobWhenItGetsNoAnswer) {
  for (const bool is_added_first : {true, false}) {
    const auto get_stuck = [is_added_first] {
      Watchdog watchdog(end_process);
      watchdog.set_last_word([](const std::string&) { std::fputs("last word\n", stderr); });
      Background background([]() -> std::optional<BackgroundCollectives::Operation> {
        sleep_for(seconds(30));
        return std::nullopt;
      });
      if (is_added_first) watchdog.add(background);
      watchdog.start(milliseconds(200));
      if (!is_added_first) watchdog.add(background);
      sleep_for(seconds(20));
    };
    EXPECT_EXIT(get_stuck(), ::testing::ExitedWithCode(exit_by_watchdog),
                "no answer from the GPU.*\nlast word");
  }
}

TEST_F(WatchdogDeath, EndsTheJobWhenACollectiveInTheBackgroundFailsEvenWithoutALimit) {
  const auto fail = [] {
    Watchdog watchdog(end_process);
    Background background([]() -> std::optional<BackgroundCollectives::Operation> {
      throw Error("a collective failed in NCCL: unhandled system error");
    });
    watchdog.add(background);
    watchdog.start(seconds(0));
    sleep_for(seconds(20));
  };
  EXPECT_EXIT(fail(), ::testing::ExitedWithCode(exit_by_watchdog), "unhandled system error");
}

struct Collective {
  const char* name;
  std::function<void(Communicator&)> call;  // as rank 0, which has to wait for rank 1
};

std::vector<float> floats(2);
std::vector<double> doubles(1);
std::vector<std::int64_t> numbers(1);

const Collective collectives[] = {
    {"a sum over ranks", [](Communicator& c) { c.all_reduce(std::span(doubles)); }},
    {"a maximum over ranks", [](Communicator& c) { c.all_reduce_maximum(numbers); }},
    {"a broadcast", [](Communicator& c) { c.broadcast(std::as_writable_bytes(std::span(floats)), 1); }},
    {"an exchange of texts", [](Communicator& c) { c.all_gather("text"); }},
    {"a barrier", [](Communicator& c) { c.barrier(); }},
    {"a split of ranks", [](Communicator& c) { c.split(0); }},
    {"the reduce-scatter of gradients",
     [](Communicator& c) {
       std::vector<float> sum(1);
       c.start_reduce_scatter(floats, sum)->wait();
     }},
    {"the all-reduce of gradients", [](Communicator& c) { c.start_all_reduce(floats)->wait(); }},
    {"the all-gather of weights",
     [](Communicator& c) { c.start_all_gather(std::as_writable_bytes(std::span(floats)))->wait(); }},
};

TEST_F(WatchdogDeath, LooksAtEveryCollectiveOfAWatchedCommunicator) {
  for (const Collective& collective : collectives) {
    const auto get_stuck = [&] {
      Watchdog watchdog(end_process);
      watchdog.start(milliseconds(200));
      run_on_threads(2, [&](Communicator& threads) {
        const auto communicator = make_watched_communicator(threads.split(0), watchdog);
        if (communicator->rank() == 1) return sleep_for(seconds(20));
        collective.call(*communicator);
      });
    };
    EXPECT_EXIT(get_stuck(), ::testing::ExitedWithCode(exit_by_watchdog),
                std::string("stuck in ") + collective.name);
  }
}

// What follows would end this very process if the watchdog were too eager.

TEST(Watchdog, LetsARankWorkAloneForAsLongAsItLikes) {
  Watchdog watchdog(end_process);
  watchdog.start(milliseconds(100));
  sleep_for(milliseconds(400));
  for (int collective = 0; collective < 40; ++collective) {
    const Watchdog::Inside inside(watchdog, "a barrier");
    sleep_for(milliseconds(10));
  }
}

TEST(Watchdog, AddsUpTheTimeInsideCollectives) {
  run_on_threads(2, [](Communicator& threads) {
    Watchdog watchdog(end_process);
    const auto communicator = make_watched_communicator(threads.split(0), watchdog);
    if (communicator->rank() == 1) sleep_for(milliseconds(800));  // alone: does not count
    communicator->barrier();
    if (communicator->rank() == 0)
      EXPECT_GT(communicator->waited_seconds(), 0.6);
    else
      EXPECT_LT(communicator->waited_seconds(), 0.4);
  });
}

TEST(Watchdog, LetsCollectivesInTheBackgroundFollowEachOther) {
  Watchdog watchdog(end_process);
  std::uint64_t number = 0;
  Background background([&]() -> std::optional<BackgroundCollectives::Operation> {
    ++number;
    if (number % 5 == 0) return std::nullopt;
    return BackgroundCollectives::Operation{"the all-reduce of gradients", number / 2};
  });
  watchdog.add(background);
  watchdog.start(milliseconds(200));
  sleep_for(milliseconds(600));
  watchdog.remove(background);
  EXPECT_GT(number, 4u);
}

TEST(Watchdog, WaitsForEverWithoutALimit) {
  Watchdog watchdog(end_process);
  watchdog.start(seconds(0));
  const Watchdog::Inside inside(watchdog, "a barrier");
  sleep_for(milliseconds(1200));
}

TEST(Watchdog, DoesNotCountTimeBeforeItIsStarted) {
  Watchdog watchdog(end_process);
  const Watchdog::Inside inside(watchdog, "a barrier");
  sleep_for(milliseconds(600));
  watchdog.start(milliseconds(800));
  sleep_for(milliseconds(400));
}

// A job that was suspended as a whole is not stuck.
TEST(Watchdog, DoesNotCountTimeInWhichTheProcessWasSuspended) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    Watchdog watchdog(end_process);
    watchdog.start(milliseconds(1000));
    const Watchdog::Inside inside(watchdog, "a barrier");
    sleep_for(milliseconds(200));
    ::raise(SIGSTOP);
    sleep_for(milliseconds(100));
    std::_Exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, WUNTRACED), child);
  ASSERT_TRUE(WIFSTOPPED(status));
  sleep_for(milliseconds(2500));
  ::kill(child, SIGCONT);
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

}  // namespace
}  // namespace cola
