// The lines of a run's metrics.jsonl, for those who read it again: what is no line of ours is passed over.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

namespace cola {

/// One line: an object whose members may be missing or of any type, since a hand can have written it.
class MetricsLine {
 public:
  explicit MetricsLine(nlohmann::ordered_json fields) : fields_(std::move(fields)) {}

  bool tells_of(const char* event) const;
  /// 0 without a whole number there: such a line belongs to no step.
  std::int64_t step() const;
  /// 0 without one.
  double number(const char* key) const;

 private:
  nlohmann::ordered_json fields_;
};

/// Visits each line, as text without its end and as what it says. Lines that are no JSON object are left out:
/// a crash has cut them off, or a hand has written them.
void for_each_metrics_line(const std::string& text,
                           const std::function<void(const std::string&, const MetricsLine&)>& visit);

}  // namespace cola
