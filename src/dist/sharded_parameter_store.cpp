#include "dist/sharded_parameter_store.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "core/error.h"
#include "core/kernels/reduce.h"

namespace cola {

namespace {

ShardMap checked_shard_map(const ParameterTable& table, const StoreOptions& options, int ranks) {
  if (options.zero_stage < 0 || options.zero_stage > 3)
    throw UsageError("parallel.zero_stage is {}: there are 0, 1, 2 and 3", options.zero_stage);
  return shard_map_of(table, options.zero_stage, ranks);
}

Buffer make_zeros(Device& device, const ShardMap& map, const StoreOptions& options) {
  Arena counting;
  allocate_store(counting, map, options);
  Buffer buffer(device, counting.used());
  device.fill_bytes(buffer.data(), 0, buffer.bytes());
  return buffer;
}

StoreMemory allocate_in(const Buffer& buffer, const ShardMap& map, const StoreOptions& options) {
  Arena arena(buffer.data(), buffer.bytes());
  return allocate_store(arena, map, options);
}

}  // namespace

ShardedParameterStore::ShardedParameterStore(Device& device, Communicator& communicator,
                                             const ParameterTable& table, StoreOptions options)
    : device_(device),
      communicator_(communicator),
      table_(table),
      shard_map_(checked_shard_map(table, options, communicator.size())),
      memory_buffer_(make_zeros(device, shard_map_, options)),
      memory_(allocate_in(memory_buffer_, shard_map_, options)),
      gradients_(make_gradient_exchange(device, communicator, shard_map_, memory_)),
      weights_(make_weight_exchange(device, communicator, shard_map_, memory_)) {}

int ShardedParameterStore::shard() const {
  return shard_map_.shards() > 1 ? communicator_.rank() : 0;
}

Tensor ShardedParameterStore::chunk_of(const Tensor& shard_tensor, int unit) const {
  return shard_tensor.view(shard_map_.local_offset(unit), {shard_map_.chunk_elements(unit)});
}

Tensor ShardedParameterStore::acquire_weights(int unit) {
  return weights_->acquire(unit).view(0, {unit_elements(unit)});
}

void ShardedParameterStore::release_weights(int unit) {
  weights_->release(unit);
}

Tensor ShardedParameterStore::gradients(int unit) {
  return gradients_->gradients(unit).view(0, {unit_elements(unit)});
}

void ShardedParameterStore::gradients_ready(int unit) {
  const ProfileRange range(device_, "reduction");
  gradients_->ready(unit);
}

bool ShardedParameterStore::next_pass_is_local() const {
  return gradients_->next_pass_is_local() && weights_->next_pass_is_local();
}

void ShardedParameterStore::zero_gradients() {
  gradients_->begin_step();
}

void ShardedParameterStore::begin_last_micro_batch() {
  gradients_->begin_last_micro_batch();
}

double ShardedParameterStore::gradient_norm() {
  const ProfileRange range(device_, "gradient norm");
  gradients_->finish_step();
  double sum = device_.reduce().sum_of_squares(memory_.reduced_gradient);
  // Where every rank holds the whole gradient, rank 0's sum is the one: ranks that clipped by norms of their
  // own would drift apart.
  if (shard_map_.shards() == 1 && communicator_.rank() != 0) sum = 0;
  if (communicator_.size() > 1) communicator_.all_reduce(std::span(&sum, 1));
  return std::sqrt(sum);
}

void ShardedParameterStore::update(const AdamWParameters& parameters) {
  const ProfileRange range(device_, "optimizer");
  weights_->begin_update();
  for (int unit = 0; unit < shard_map_.units(); ++unit) {
    device_.adamw().update(parameters, chunk_of(master_weights(), unit), chunk_of(exp_avg(), unit),
                           chunk_of(exp_avg_sq(), unit), chunk_of(memory_.reduced_gradient, unit),
                           weights_->own_chunk(unit));
    weights_->publish(unit);
  }
}

void ShardedParameterStore::initialize(std::uint64_t seed) {
  for (const Tensor& part : {master_weights(), exp_avg(), exp_avg_sq()})
    device_.fill_bytes(part.data(), 0, part.bytes());
  for (const ShardRange& range : shard_map_.ranges(shard())) {
    const std::vector<float> values = initial_values(range, seed);
    const Tensor target = master_weights().view(range.local, {range.elements()});
    device_.copy_from_host(target.data(), values.data(), target.bytes());
  }
  device_.synchronize();
  publish_weights();
}

// Initial values of elements [begin, end) of the flat space, which may cut through parameters.
std::vector<float> ShardedParameterStore::initial_values(const ShardRange& range, std::uint64_t seed) const {
  std::vector<float> values(static_cast<std::size_t>(range.elements()), 0.0f);
  for (const Parameter& parameter : table_.parameters()) {
    const std::int64_t offset =
        table_.units()[static_cast<std::size_t>(parameter.unit)].offset + parameter.offset;
    const std::int64_t begin = std::max(range.begin, offset);
    const std::int64_t end = std::min(range.end, offset + parameter.stored_elements());
    if (begin < end)
      cola::initialize(parameter, seed, begin - offset,
                       std::span(values).subspan(static_cast<std::size_t>(begin - range.begin),
                                                 static_cast<std::size_t>(end - begin)));
  }
  return values;
}

void ShardedParameterStore::publish_weights() {
  weights_->begin_update();
  for (int unit = 0; unit < shard_map_.units(); ++unit) {
    const Tensor master = chunk_of(master_weights(), unit), working = weights_->own_chunk(unit);
    if (working.type() == DataType::float32)
      device_.copy_on_device(working.data(), master.data(), working.bytes());
    else
      device_.reduce().convert(master, working);
    weights_->publish(unit);
  }
}

std::int64_t ShardedParameterStore::unit_elements(int unit) const {
  return table_.units()[static_cast<std::size_t>(unit)].elements;
}

}  // namespace cola
