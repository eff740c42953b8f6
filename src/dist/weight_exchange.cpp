#include "dist/weight_exchange.h"

#include <array>
#include <span>

#include "core/error.h"
#include "dist/pending_collectives.h"

namespace cola {

namespace {

std::span<std::byte> bytes_of(const Tensor& tensor) {
  return {static_cast<std::byte*>(tensor.data()), tensor.bytes()};
}

// Units are gathered in the order in which the next forward pass needs them, while later ones are being
// updated.
class WholeWeights final : public WeightExchange {
 public:
  WholeWeights(Communicator& communicator, const ShardMap& map, const StoreMemory& memory)
      : communicator_(communicator), map_(map), memory_(memory), gathers_(map.units()) {}

  Tensor acquire(int unit) override {
    gathers_.wait(unit);
    return padded_unit(unit);
  }
  void release(int) override {}

  void begin_update() override { gathers_.wait_all(); }
  Tensor own_chunk(int unit) override {
    const std::int64_t elements = map_.chunk_elements(unit);
    const int shard = map_.shards() > 1 ? communicator_.rank() : 0;
    return padded_unit(unit).view(shard * elements, {elements});
  }
  void publish(int unit) override {
    if (map_.shards() > 1) gathers_.start(unit, communicator_.start_all_gather(bytes_of(padded_unit(unit))));
  }
  bool next_pass_is_local() const override { return !gathers_.any(); }

 private:
  Tensor padded_unit(int unit) const {
    return memory_.working.view(map_.padded_offset(unit), {map_.padded_elements(unit)});
  }

  Communicator& communicator_;
  const ShardMap& map_;
  const StoreMemory& memory_;
  PendingCollectives gathers_;  // one a unit
};

// Unit u always uses slot u % unit_slots, so that the next unit can be gathered while one is in use, and the
// memory that a unit is read from never changes.
class SplitWeights final : public WeightExchange {
 public:
  SplitWeights(Device& device, Communicator& communicator, const ShardMap& map, const StoreMemory& memory)
      : device_(device), communicator_(communicator), map_(map), memory_(memory), gathers_(unit_slots) {}

  Tensor acquire(int unit) override {
    if (acquired_ >= 0 && acquired_ != unit)
      throw Error("the weights of unit {} were asked for before unit {} was released", unit, acquired_);
    acquired_ = unit;
    start_gather(unit);
    gathers_.wait(unit % unit_slots);
    if (const int next = unit_after(unit); next >= 0) start_gather(next);
    previous_ = unit;
    return whole_unit(unit);
  }
  void release(int) override { acquired_ = -1; }

  void begin_update() override {
    gathers_.wait_all();
    units_in_slots_.fill(-1);
    previous_ = -1;
  }
  Tensor own_chunk(int unit) override {
    return memory_.working.view(map_.local_offset(unit), {map_.chunk_elements(unit)});
  }
  void publish(int) override {}  // fetched when they are needed
  bool next_pass_is_local() const override { return false; }

 private:
  Tensor whole_unit(int unit) const {
    return memory_.weight_slots[unit % unit_slots].view(0, {map_.padded_elements(unit)});
  }

  // The unit that a pass will most likely ask for next: the one after in the forward pass; from the last unit
  // on, the one before. The embedding has no part in the backward pass. -1: none.
  int unit_after(int unit) const {
    const int last = map_.units() - 1;
    const bool backward = unit == last || (previous_ > unit && unit > 0);
    if (!backward) return unit + 1;
    return unit > 1 ? unit - 1 : -1;
  }

  // Unless the unit is there, or on its way.
  void start_gather(int unit) {
    const int slot = unit % unit_slots;
    if (units_in_slots_[static_cast<std::size_t>(slot)] == unit) return;
    gathers_.wait(slot);
    units_in_slots_[static_cast<std::size_t>(slot)] = unit;
    const Tensor whole = whole_unit(unit), own = own_chunk(unit);
    const Tensor place = whole.view(communicator_.rank() * own.elements(), {own.elements()});
    device_.copy_on_device(place.data(), own.data(), own.bytes());
    gathers_.start(slot, communicator_.start_all_gather(bytes_of(whole)));
  }

  Device& device_;
  Communicator& communicator_;
  const ShardMap& map_;
  const StoreMemory& memory_;
  PendingCollectives gathers_;  // one a slot
  std::array<int, unit_slots> units_in_slots_{-1, -1};
  int acquired_ = -1, previous_ = -1;
};

}  // namespace

std::unique_ptr<WeightExchange> make_weight_exchange(Device& device, Communicator& communicator,
                                                     const ShardMap& map, const StoreMemory& memory) {
  if (memory.weight_slots.empty()) return std::make_unique<WholeWeights>(communicator, map, memory);
  return std::make_unique<SplitWeights>(device, communicator, map, memory);
}

}  // namespace cola
