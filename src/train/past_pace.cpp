#include "train/past_pace.h"

#include <algorithm>
#include <deque>
#include <filesystem>
#include <sstream>
#include <vector>

#include "io/durable_file.h"
#include "io/json_text.h"

namespace cola {

namespace {

using Json = nlohmann::ordered_json;

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

// 0 for what is no number, as in a line that a hand has written.
double number_of(const Json& entry, const char* key) {
  const auto value = entry.find(key);
  return value != entry.end() && value->is_number() ? value->get<double>() : 0;
}

}  // namespace

PastPace read_past_pace(const std::string& run_directory, int ranks) {
  const std::string path = run_directory + "/metrics.jsonl";
  if (!std::filesystem::exists(path)) return {};
  LatestTimes steps(steps_looked_at), checkpoints(checkpoints_looked_at);
  bool alike = false;
  std::istringstream lines(read_file(path));
  for (std::string line; std::getline(lines, line);) {
    const Json entry = Json::parse(line, nullptr, false);
    if (!entry.is_object() || !entry.contains("event")) continue;
    const Json& event = entry["event"];
    if (event == "start") alike = number_of(entry, "ranks") == ranks;
    if (alike && event == "step") steps.add(number_of(entry, "step_seconds"));
    if (alike && event == "checkpoint") checkpoints.add(number_of(entry, "full_speed_seconds"));
  }
  return {steps.median(), checkpoints.smallest()};
}

}  // namespace cola
