#include "train/metrics_lines.h"

#include <sstream>

namespace cola {

bool MetricsLine::tells_of(const char* event) const {
  const auto found = fields_.find("event");
  return found != fields_.end() && *found == event;
}

std::int64_t MetricsLine::step() const {
  const auto found = fields_.find("step");
  return found != fields_.end() && found->is_number_integer() ? found->get<std::int64_t>() : 0;
}

double MetricsLine::number(const char* key) const {
  const auto found = fields_.find(key);
  return found != fields_.end() && found->is_number() ? found->get<double>() : 0;
}

void for_each_metrics_line(const std::string& text,
                           const std::function<void(const std::string&, const MetricsLine&)>& visit) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (auto fields = nlohmann::ordered_json::parse(line, nullptr, false); fields.is_object())
      visit(line, MetricsLine(std::move(fields)));
}

}  // namespace cola
