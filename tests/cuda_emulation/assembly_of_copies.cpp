// Instructions of assembly that copy boxes of arrays (PTX ISA, "cp.async.bulk").
#include <string_view>

#include "assembly_program.h"
#include "block_runner.h"
#include "emulated_gpu.h"
#include "emulation_error.h"

namespace cola::emulation {

namespace {

using Call = AssemblyCall;

BlockRunner& runner() {
  return EmulatedGpu::instance().runner();
}

BoxCopy box_copy(const Call& call, const char* digit, std::size_t map, std::size_t shared,
                 std::size_t corner) {
  BoxCopy copy{tensor_map_at(reinterpret_cast<const void*>(call.value(map))), {}, call.word(shared)};
  if (copy.map.dimensions != static_cast<unsigned>(*digit - '0'))
    throw EmulationError("{} with a tensor map of {} dimensions", call.name(), copy.map.dimensions);
  for (unsigned i = 0; i < copy.map.dimensions; ++i)
    copy.corner[i] = static_cast<std::int32_t>(call.word(corner + i));
  copy.check_place();
  return copy;
}
const char* dimensions_of(const Call& call) {
  return call.name() + std::string_view("cp.async.bulk.tensor.").size();
}
// [shared memory], [map, {corner}], [barrier], cache
void start_load(Call& call) {
  const BoxCopy copy = box_copy(call, dimensions_of(call), 1, 0, 2);
  copy.spoil_target();
  runner().memory_barriers().add_copy(call.word(2 + copy.map.dimensions), copy.map.box_bytes(),
                                      [copy] { copy.load(); });
}
// [map, {corner}], [shared memory]
void start_store(Call& call) {
  const BoxCopy copy = box_copy(call, dimensions_of(call), 0, call.arguments() - 1, 1);
  copy.check_shown();
  runner().bulk_stores().start(copy);
}
void close_stores(Call&) {
  runner().bulk_stores().close();
}
void wait_for_stores(Call& call) {
  runner().bulk_stores().wait(call.value(0));
}
void wait_for_reading(Call& call) {
  runner().bulk_stores().wait_for_reading(call.value(0));
}
void show_writes(Call&) {
  runner().shared_memory().show_when_threads_meet(runner().warp());
}
void prefetch_map(Call& call) {
  tensor_map_at(reinterpret_cast<const void*>(call.value(0)));
}

}  // namespace

const AssemblyActions& actions_of_copies() {
  static const AssemblyActions actions{
      {"cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint",
       start_load},
      {"cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint",
       start_load},
      {"cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint",
       start_load},
      {"cp.async.bulk.tensor.2d.global.shared::cta.bulk_group", start_store},
      {"cp.async.bulk.tensor.3d.global.shared::cta.bulk_group", start_store},
      {"cp.async.bulk.tensor.4d.global.shared::cta.bulk_group", start_store},
      {"cp.async.bulk.commit_group", close_stores},
      {"cp.async.bulk.wait_group", wait_for_stores},
      {"cp.async.bulk.wait_group.read", wait_for_reading},
      {"fence.proxy.async.shared::cta", show_writes},
      {"prefetch.tensormap", prefetch_map},
  };
  return actions;
}

}  // namespace cola::emulation
