// Rank times: which rank of a job is slow. All wait for the last one at every step, so that a step's time is
// the same on all of them and does not tell.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "dist/communicator.h"

namespace cola {

/// How long ranks computed in one step, waiting for others left out.
struct RankTimes {
  int slowest_rank = 0;
  double slowest_seconds = 0, median_seconds = 0;
  bool operator==(const RankTimes&) const = default;
};

/// Of every rank's seconds, in rank order.
RankTimes rank_times_of(std::vector<double> seconds);
/// The same on all ranks, from this one's seconds. Collective: a small reduction.
RankTimes compare_ranks(Communicator& communicator, double own_seconds);

/// Looks for a rank that is slow for long: in each of the last `patience` steps the slowest one, and by more
/// than a tenth slower than the median. Now and then every rank is, for a disk or for the system's own work.
class SlowRankSearch {
 public:
  static constexpr int patience = 20;

  void note(const RankTimes& step);
  /// That rank with its latest step; nothing where there is none.
  std::optional<RankTimes> found() const;

 private:
  RankTimes last_;
  int steps_ = 0;  // in a row
};

}  // namespace cola
