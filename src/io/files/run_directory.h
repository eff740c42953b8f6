// What a run's directory (run.dir) holds, by name.
#pragma once

#include <string>

namespace cola {

inline constexpr const char* checkpoints_name = "checkpoints";
inline constexpr const char* heartbeat_name = "heartbeat.json";

/// The folder of a run's checkpoints, each a folder of its own.
inline std::string checkpoints_folder(const std::string& run) {
  return run + "/" + checkpoints_name;
}
/// What the run was trained with.
inline std::string configuration_file(const std::string& run) {
  return run + "/config.yaml";
}
/// What every step measured, a line of JSON each.
inline std::string metrics_file(const std::string& run) {
  return run + "/metrics.jsonl";
}
/// What the run does at this moment, or did last.
inline std::string heartbeat_file(const std::string& run) {
  return run + "/" + heartbeat_name;
}
/// The name under which the last job staged checkpoints on its nodes.
inline std::string attempt_file(const std::string& run) {
  return run + "/attempt";
}
/// Which checkpoint --resume named.
inline std::string chosen_start_file(const std::string& run) {
  return run + "/resumed_from";
}

}  // namespace cola
