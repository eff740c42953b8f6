#include "train/configuration/common_run.h"

#include <algorithm>
#include <array>
#include <sstream>

#include "core/error.h"
#include "core/log.h"
#include "core/version.h"
#include "train/agreement.h"

namespace cola {

namespace {

constexpr std::string_view keys_of_a_node[] = {"train.threads", "parallel.bind_network",
                                               "checkpoint.local_dir"};

constexpr const char* device_key = "the device that train.device leads to";

bool belongs_to_node(const Setting& setting) {
  return std::find(std::begin(keys_of_a_node), std::end(keys_of_a_node), setting.key) !=
         std::end(keys_of_a_node);
}

// No value has a line break: they are YAML on one line.
std::string to_lines(const std::string& host, const std::vector<Setting>& settings) {
  std::string text = host + "\n";
  for (const Setting& setting : settings) text += setting.key + "\n" + setting.value + "\n";
  return text;
}

// How this rank differs from what rank 0 told; empty if it does not.
std::string find_difference(const std::string& told, const std::vector<Setting>& mine, int rank,
                            const std::string& host) {
  std::istringstream lines(told);
  std::string other_host;
  std::getline(lines, other_host);
  for (const Setting& own : mine) {
    Setting theirs;
    std::getline(lines, theirs.key);
    std::getline(lines, theirs.value);
    if (theirs.key == own.key && theirs.value == own.value) continue;
    std::string text =
        fmt::format("{}: {} on rank 0 ({}), but {} on rank {} ({}); all ranks must run the same", own.key,
                    theirs.key == own.key ? theirs.value : "unknown", other_host, own.value, rank, host);
    if (own.key == device_key)
      text += fmt::format(": start without a host whose GPU has failed (Slurm: --exclude={})",
                          own.value == "cpu" ? host : other_host);
    return text;
  }
  return {};
}

}  // namespace

std::vector<Setting> describe_run_of_rank(const RunConfiguration& configuration, DeviceKind device) {
  std::vector<Setting> settings = settings_of(configuration);
  std::erase_if(settings, belongs_to_node);
  settings.insert(settings.begin(), {"the version of cola_dist", version});
  settings.push_back({device_key, device == DeviceKind::cuda ? "cuda" : "cpu"});
  return settings;
}

void require_common_run(Communicator& world, const std::vector<Setting>& settings, const std::string& host) {
  const std::string told = shared_text(world, to_lines(host, settings));
  const std::string difference = first_told(world, find_difference(told, settings, world.rank(), host)).text;
  if (difference.starts_with(device_key)) throw AgreedError("{}", difference);
  if (!difference.empty()) throw UsageError("{}", difference);
}

Precision common_precision(Communicator& world, Precision precision, bool device_prefers_bfloat16) {
  if (precision != Precision::automatic) return precision;
  std::array<std::int64_t, 2> any{device_prefers_bfloat16 ? 1 : 0, device_prefers_bfloat16 ? 0 : 1};
  world.all_reduce_maximum(any);
  if (any[0] != any[1]) return precision;  // all devices prefer the same
  if (world.rank() == 0)
    warning("train.precision: auto is fp32 here, as only some of the ranks' devices are faster in bf16");
  return Precision::fp32;
}

}  // namespace cola
