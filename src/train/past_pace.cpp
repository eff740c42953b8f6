#include "train/past_pace.h"

#include <algorithm>
#include <deque>
#include <filesystem>
#include <vector>

#include "io/files/durable_file.h"
#include "io/files/run_directory.h"
#include "train/metrics_lines.h"

namespace cola {

namespace {

// One among them may have been suspended, or have met a disk that others kept busy.
constexpr std::size_t steps_looked_at = 20, checkpoints_looked_at = 2;

/// The last `limit` times of a kind.
class LatestTimes {
 public:
  explicit LatestTimes(std::size_t limit) : limit_(limit) {}
  void add(double seconds) {
    if (seconds <= 0) return;
    times_.push_back(seconds);
    if (times_.size() > limit_) times_.pop_front();
  }
  /// 0 where there are none, as below.
  double median() const {
    std::vector<double> sorted(times_.begin(), times_.end());
    std::sort(sorted.begin(), sorted.end());
    return sorted.empty() ? 0 : sorted[(sorted.size() - 1) / 2];
  }
  double smallest() const { return times_.empty() ? 0 : *std::min_element(times_.begin(), times_.end()); }

 private:
  std::size_t limit_;
  std::deque<double> times_;
};

}  // namespace

PastPace read_past_pace(const std::string& run_directory, int ranks) {
  const std::string path = metrics_file(run_directory);
  if (!std::filesystem::exists(path)) return {};
  LatestTimes steps(steps_looked_at), checkpoints(checkpoints_looked_at);
  bool alike = false;
  for_each_metrics_line(read_file(path), [&](const std::string&, const MetricsLine& line) {
    if (line.tells_of("start")) alike = line.number("ranks") == ranks;
    if (!alike) return;
    if (line.tells_of("step")) steps.add(line.number("step_seconds"));
    if (line.tells_of("checkpoint")) checkpoints.add(line.number("full_speed_seconds"));
  });
  return {steps.median(), checkpoints.smallest()};
}

}  // namespace cola
