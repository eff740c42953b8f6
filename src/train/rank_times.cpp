#include "train/rank_times.h"

#include <algorithm>
#include <cmath>
#include <iterator>

namespace cola {

namespace {

constexpr double microseconds = 1e6;
constexpr double much_slower = 1.1;  // than the median

}  // namespace

RankTimes rank_times_of(std::vector<double> seconds) {
  const auto slowest = std::max_element(seconds.begin(), seconds.end());
  RankTimes times{static_cast<int>(std::distance(seconds.begin(), slowest)), *slowest, 0};
  std::sort(seconds.begin(), seconds.end());
  const std::size_t middle = seconds.size() / 2;
  times.median_seconds = (seconds[middle] + seconds[(seconds.size() - 1) / 2]) / 2;
  return times;
}

// A maximum of whole numbers, each from one rank alone: it is a gathering that depends on no order.
RankTimes compare_ranks(Communicator& communicator, double own_seconds) {
  std::vector<std::int64_t> whole(static_cast<std::size_t>(communicator.size()), 0);
  whole[static_cast<std::size_t>(communicator.rank())] =
      std::llround(std::max(own_seconds, 0.0) * microseconds);
  if (communicator.size() > 1) communicator.all_reduce_maximum(whole);
  std::vector<double> seconds;
  for (const std::int64_t of_rank : whole) seconds.push_back(static_cast<double>(of_rank) / microseconds);
  return rank_times_of(std::move(seconds));
}

void SlowRankSearch::note(const RankTimes& step) {
  const bool is_slow = step.slowest_seconds > much_slower * step.median_seconds;
  const bool goes_on = steps_ > 0 && step.slowest_rank == last_.slowest_rank;
  steps_ = !is_slow ? 0 : goes_on ? steps_ + 1 : 1;
  last_ = step;
}

std::optional<RankTimes> SlowRankSearch::found() const {
  return steps_ >= patience ? std::optional(last_) : std::nullopt;
}

}  // namespace cola
