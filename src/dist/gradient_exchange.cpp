#include "dist/gradient_exchange.h"

#include <array>
#include <span>
#include <vector>

#include "core/error.h"
#include "dist/pending_collectives.h"

namespace cola {

namespace {

void fill_zero(Device& device, const Tensor& tensor) {
  device.fill_bytes(tensor.data(), 0, tensor.bytes());
}

Tensor chunk_of(const Tensor& shard, const ShardMap& map, int unit) {
  return shard.view(map.local_offset(unit), {map.chunk_elements(unit)});
}

/// Which units are ready in the last micro-batch.
class ReadyUnits {
 public:
  explicit ReadyUnits(int units) : ready_(static_cast<std::size_t>(units)) {}
  void clear() { ready_.assign(ready_.size(), false); }
  void add(int unit) {
    if (ready_.at(static_cast<std::size_t>(unit)))
      throw Error("the gradients of unit {} were declared ready twice", unit);
    ready_[static_cast<std::size_t>(unit)] = true;
  }
  void require_all() const {
    for (std::size_t unit = 0; unit < ready_.size(); ++unit)
      if (!ready_[unit]) throw Error("the gradients of unit {} were never declared ready", unit);
  }

 private:
  std::vector<bool> ready_;
};

class WholeGradients final : public GradientExchange {
 public:
  WholeGradients(Device& device, Communicator& communicator, const ShardMap& map, const StoreMemory& memory)
      : device_(device),
        communicator_(communicator),
        map_(map),
        memory_(memory),
        ready_(map.units()),
        reductions_(map.units()) {}

  Tensor gradients(int unit) override {
    return memory_.gradients.view(map_.padded_offset(unit), {map_.padded_elements(unit)});
  }

  void ready(int unit) override {
    if (!last_micro_batch_ || communicator_.size() == 1) return;
    ready_.add(unit);
    const std::span<float> values = gradients(unit).span<float>();
    reductions_.start(unit, map_.shards() > 1
                                ? communicator_.start_reduce_scatter(
                                      values, chunk_of(memory_.reduced_gradient, map_, unit).span<float>())
                                : communicator_.start_all_reduce(values));
    reductions_.progress();
  }

  void begin_step() override {
    reductions_.wait_all();
    last_micro_batch_ = false;
    fill_zero(device_, memory_.gradients);
  }

  void begin_last_micro_batch() override {
    last_micro_batch_ = true;
    ready_.clear();
  }

  void finish_step() override {
    if (communicator_.size() > 1) ready_.require_all();
    reductions_.wait_all();
    last_micro_batch_ = false;
  }

  bool next_pass_is_local() const override { return !last_micro_batch_ || communicator_.size() == 1; }

 private:
  Device& device_;
  Communicator& communicator_;
  const ShardMap& map_;
  const StoreMemory& memory_;
  ReadyUnits ready_;
  PendingCollectives reductions_;  // one a unit
  bool last_micro_batch_ = false;
};

// Unit u always uses slot u % unit_slots: consecutive units never share one, and the memory that a unit is
// computed in never changes.
class SplitGradients final : public GradientExchange {
 public:
  SplitGradients(Device& device, Communicator& communicator, const ShardMap& map, const StoreMemory& memory)
      : device_(device),
        communicator_(communicator),
        map_(map),
        memory_(memory),
        ready_(map.units()),
        reductions_(unit_slots) {}

  Tensor gradients(int unit) override {
    const auto slot = static_cast<std::size_t>(unit % unit_slots);
    const Tensor values = memory_.gradient_slots[unit % unit_slots].view(0, {map_.padded_elements(unit)});
    if (open_units_[slot] == unit) return values;
    if (open_units_[slot] >= 0)
      throw Error("the gradients of unit {} were asked for before unit {} was declared ready", unit,
                  open_units_[slot]);
    reductions_.wait(unit % unit_slots);
    open_units_[slot] = unit;
    // Zero but for this rank's own chunk, which begins as what its owner has summed so far: the reduction
    // then yields the new sum.
    fill_zero(device_, values);
    const Tensor sum = chunk_of(memory_.gradients, map_, unit);
    const Tensor own = values.view(communicator_.rank() * sum.elements(), {sum.elements()});
    device_.copy_on_device(own.data(), sum.data(), sum.bytes());
    return values;
  }

  void ready(int unit) override {
    if (last_micro_batch_) ready_.add(unit);
    const std::span<float> values = gradients(unit).span<float>();
    open_units_[static_cast<std::size_t>(unit % unit_slots)] = -1;
    reductions_.start(unit % unit_slots, communicator_.start_reduce_scatter(
                                             values, chunk_of(memory_.gradients, map_, unit).span<float>()));
    reductions_.progress();
  }

  void begin_step() override {
    reductions_.wait_all();
    open_units_.fill(-1);
    last_micro_batch_ = false;
    fill_zero(device_, memory_.gradients);
  }

  void begin_last_micro_batch() override {
    last_micro_batch_ = true;
    ready_.clear();
  }

  void finish_step() override {
    ready_.require_all();
    reductions_.wait_all();
    last_micro_batch_ = false;
  }

  bool next_pass_is_local() const override { return false; }

 private:
  Device& device_;
  Communicator& communicator_;
  const ShardMap& map_;
  const StoreMemory& memory_;
  ReadyUnits ready_;
  PendingCollectives reductions_;  // one a slot
  std::array<int, unit_slots> open_units_{-1, -1};
  bool last_micro_batch_ = false;
};

}  // namespace

std::unique_ptr<GradientExchange> make_gradient_exchange(Device& device, Communicator& communicator,
                                                         const ShardMap& map, const StoreMemory& memory) {
  if (memory.gradient_slots.empty())
    return std::make_unique<WholeGradients>(device, communicator, map, memory);
  return std::make_unique<SplitGradients>(device, communicator, map, memory);
}

}  // namespace cola
