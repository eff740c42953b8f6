#include "train/checkpoints/load_checkpoint.h"

#include <algorithm>
#include <span>
#include <vector>

#include "core/error.h"
#include "io/checkpoints/checkpoint_directory.h"
#include "model/shard_map.h"
#include "train/agreement.h"

namespace cola {

namespace {

// What lies between a shard's ranges, which rise, is in no checkpoint.
void zero_padding(std::span<const ShardRange> ranges, std::span<float> values) {
  auto end = values.begin();
  for (const ShardRange& range : ranges) {
    std::fill(end, values.begin() + range.local, 0.0f);
    end = values.begin() + range.local + range.elements();
  }
  std::fill(end, values.end(), 0.0f);
}

}  // namespace

TrainingState load_checkpoint(const std::string& folder, Communicator& communicator, Device& device,
                              ShardedParameterStore& store) {
  const Manifest manifest = read_manifest(folder);
  const ShardMap& map = store.shard_map();
  const std::vector<ShardRange> ranges = map.ranges(store.shard());
  // The CPU's memory is read into as it lies; what belongs to a GPU goes through the host's.
  const bool in_place = device.kind() == DeviceKind::cpu;
  std::vector<float> copy(in_place ? 0 : static_cast<std::size_t>(map.shard_elements()));
  const auto fill = [&](StateTensor tensor, const Tensor& destination) {
    const std::span<float> values = in_place ? destination.span<float>() : std::span(copy);
    const std::string error = error_of_slow(communicator, [&] {
      zero_padding(ranges, values);
      read_ranges(folder, manifest, tensor, ranges, values);
    });
    if (!error.empty()) throw FileError("{}", error);
    if (!in_place) device.copy_from_host(destination.data(), copy.data(), destination.bytes());
  };
  fill(StateTensor::weights, store.master_weights());
  fill(StateTensor::exp_avg, store.exp_avg());
  fill(StateTensor::exp_avg_sq, store.exp_avg_sq());
  device.synchronize();
  store.publish_weights();
  return {manifest.step, manifest.next_sample, manifest.tokens};
}

}  // namespace cola
