#include "train/past_pace.h"

#include <filesystem>
#include <sstream>

#include "io/durable_file.h"
#include "io/json_text.h"

namespace cola {

namespace {

using Json = nlohmann::ordered_json;

// 0 for what is no number, as in a line that a hand has written.
double number_of(const Json& entry, const char* key) {
  const auto value = entry.find(key);
  return value != entry.end() && value->is_number() ? value->get<double>() : 0;
}

}  // namespace

PastPace read_past_pace(const std::string& run_directory, int ranks) {
  const std::string path = run_directory + "/metrics.jsonl";
  PastPace pace;
  if (!std::filesystem::exists(path)) return pace;
  bool alike = false;
  std::istringstream lines(read_file(path));
  for (std::string line; std::getline(lines, line);) {
    const Json entry = Json::parse(line, nullptr, false);
    if (!entry.is_object() || !entry.contains("event")) continue;
    const Json& event = entry["event"];
    if (event == "start") alike = number_of(entry, "ranks") == ranks;
    if (alike && event == "step") pace.step_seconds = number_of(entry, "step_seconds");
    if (alike && event == "checkpoint") pace.checkpoint_seconds = number_of(entry, "full_speed_seconds");
  }
  return pace;
}

}  // namespace cola
