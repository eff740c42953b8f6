#include "dist/sharded_parameter_store.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "core/error.h"
#include "core/kernels/reduce.h"

namespace cola {

namespace {

int checked_stage(int zero_stage) {
  if (zero_stage != 0 && zero_stage != 1)
    throw UsageError("parallel.zero_stage is {}: only 0 and 1 are supported", zero_stage);
  return zero_stage;
}

Buffer make_zeros(Device& device, const ShardMap& map, DataType compute_type) {
  Arena counting;
  allocate_store(counting, map, compute_type);
  Buffer buffer(device, counting.used());
  device.fill_bytes(buffer.data(), 0, buffer.bytes());
  return buffer;
}

StoreMemory allocate_in(const Buffer& buffer, const ShardMap& map, DataType compute_type) {
  Arena arena(buffer.data(), buffer.bytes());
  return allocate_store(arena, map, compute_type);
}

void wait_all(std::vector<std::unique_ptr<PendingCollective>>& collectives) {
  for (auto& collective : collectives) {
    if (collective) collective->wait();
    collective.reset();
  }
}

}  // namespace

ShardedParameterStore::ShardedParameterStore(Device& device, Communicator& communicator,
                                             const ParameterTable& table, StoreOptions options)
    : device_(device),
      communicator_(communicator),
      table_(table),
      options_(options),
      shard_map_(table, checked_stage(options.zero_stage) == 0 ? 1 : communicator.size()),
      memory_buffer_(make_zeros(device, shard_map_, options.compute_type)),
      memory_(allocate_in(memory_buffer_, shard_map_, options.compute_type)),
      reductions_(static_cast<std::size_t>(shard_map_.units())),
      gathers_(static_cast<std::size_t>(shard_map_.units())) {}

int ShardedParameterStore::shard() const {
  return is_sharded() ? communicator_.rank() : 0;
}

Tensor ShardedParameterStore::chunk_of(const Tensor& shard_tensor, int unit) const {
  return shard_tensor.view(shard_map_.local_offset(unit), {shard_map_.chunk_elements(unit)});
}

Tensor ShardedParameterStore::padded_unit(const Tensor& all_units, int unit) const {
  return all_units.view(shard_map_.padded_offset(unit), {shard_map_.padded_elements(unit)});
}

Tensor ShardedParameterStore::working_chunk(int unit) const {
  const std::int64_t elements = shard_map_.chunk_elements(unit);
  return padded_unit(memory_.working, unit).view(shard() * elements, {elements});
}

Tensor ShardedParameterStore::acquire_weights(int unit) {
  auto& gather = gathers_.at(static_cast<std::size_t>(unit));
  if (gather) gather->wait();
  gather.reset();
  return padded_unit(memory_.working, unit).view(0, {unit_elements(unit)});
}

void ShardedParameterStore::release_weights(int) {}

Tensor ShardedParameterStore::gradients(int unit) {
  return padded_unit(memory_.gradients, unit).view(0, {unit_elements(unit)});
}

void ShardedParameterStore::gradients_ready(int unit) {
  if (!last_micro_batch_ || communicator_.size() == 1) return;
  auto& reduction = reductions_.at(static_cast<std::size_t>(unit));
  if (reduction) throw Error("the gradients of {} were declared ready twice", unit_name(unit));
  const std::span<float> values = padded_unit(memory_.gradients, unit).span<float>();
  reduction = is_sharded() ? communicator_.start_reduce_scatter(
                                 values, chunk_of(memory_.reduced_gradient, unit).span<float>())
                           : communicator_.start_all_reduce(values);
  for (auto& under_way : reductions_)
    if (under_way) under_way->progress();
}

void ShardedParameterStore::zero_gradients() {
  wait_all(reductions_);
  last_micro_batch_ = false;
  device_.fill_bytes(memory_.gradients.data(), 0, memory_.gradients.bytes());
}

void ShardedParameterStore::begin_last_micro_batch() {
  last_micro_batch_ = true;
}

double ShardedParameterStore::gradient_norm() {
  if (communicator_.size() > 1)
    for (int unit = 0; unit < shard_map_.units(); ++unit)
      if (!reductions_[static_cast<std::size_t>(unit)])
        throw Error("the gradients of {} were never declared ready", unit_name(unit));
  wait_all(reductions_);
  last_micro_batch_ = false;
  double sum = device_.reduce().sum_of_squares(memory_.reduced_gradient);
  if (is_sharded()) communicator_.all_reduce(std::span(&sum, 1));
  return std::sqrt(sum);
}

void ShardedParameterStore::update(const AdamWParameters& parameters) {
  wait_all(gathers_);
  for (int unit = 0; unit < shard_map_.units(); ++unit) {
    device_.adamw().update(parameters, chunk_of(master_weights(), unit), chunk_of(exp_avg(), unit),
                           chunk_of(exp_avg_sq(), unit), chunk_of(memory_.reduced_gradient, unit),
                           working_chunk(unit));
    start_gather(unit);
  }
}

// Units are gathered in the order in which the next forward pass needs them, while later ones are being
// updated.
void ShardedParameterStore::start_gather(int unit) {
  if (!is_sharded()) return;
  const Tensor weights = padded_unit(memory_.working, unit);
  gathers_[static_cast<std::size_t>(unit)] =
      communicator_.start_all_gather({static_cast<std::byte*>(weights.data()), weights.bytes()});
}

void ShardedParameterStore::initialize(std::uint64_t seed) {
  for (const Tensor& moment : {exp_avg(), exp_avg_sq(), master_weights()})
    device_.fill_bytes(moment.data(), 0, moment.bytes());
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
      cola::initialize(parameter, seed, begin - offset, end - offset, values.data() + (begin - range.begin));
  }
  return values;
}

void ShardedParameterStore::publish_weights() {
  wait_all(gathers_);
  for (int unit = 0; unit < shard_map_.units(); ++unit) {
    const Tensor master = chunk_of(master_weights(), unit), working = working_chunk(unit);
    if (working.type() == DataType::float32)
      device_.copy_on_device(working.data(), master.data(), working.bytes());
    else
      device_.reduce().convert(master, working);
    start_gather(unit);
  }
}

std::int64_t ShardedParameterStore::unit_elements(int unit) const {
  return table_.units()[static_cast<std::size_t>(unit)].elements;
}

const std::string& ShardedParameterStore::unit_name(int unit) const {
  return table_.units()[static_cast<std::size_t>(unit)].name;
}

}  // namespace cola
