// Instructions of assembly that wait for other threads, or let them go on (PTX ISA, "mbarrier", "bar").
#include "assembly_program.h"
#include "block_runner.h"
#include "emulated_gpu.h"

namespace cola::emulation {

namespace {

using Call = AssemblyCall;

BlockRunner& runner() {
  return EmulatedGpu::instance().runner();
}
MemoryBarriers& barriers() {
  return runner().memory_barriers();
}

void wait_for_threads(Call& call) {
  runner().wait_for_group(static_cast<int>(call.word(0)), static_cast<int>(call.word(1)));
}
void make_barrier(Call& call) {
  barriers().initialize(call.word(0), call.word(1));
}
void give_up_barrier(Call& call) {
  barriers().invalidate(call.word(0));
}
void expect_bytes(Call& call) {
  barriers().expect(call.word(0), call.value(1));
}
// The state of the barrier, which comes first, is not emulated.
void arrive(Call& call) {
  barriers().arrive(call.word(1));
}
void arrive_and_expect_bytes(Call& call) {
  barriers().expect(call.word(1), call.value(2));
  barriers().arrive(call.word(1));
}
void test_barrier(Call& call) {
  call.set(0, barriers().has_ended(call.word(1), call.word(2), runner().draw_late()));
}
// May give up at once; a thread that asks again in the same assembly waits.
void try_barrier(Call& call) {
  if (call.again()) barriers().wait(call.word(1), call.word(2));
  test_barrier(call);
}

}  // namespace

const AssemblyActions& actions_of_barriers() {
  static const AssemblyActions actions{
      {"bar.sync", wait_for_threads},
      {"barrier.sync", wait_for_threads},
      {"mbarrier.init.shared::cta.b64", make_barrier},
      {"mbarrier.inval.shared::cta.b64", give_up_barrier},
      {"mbarrier.expect_tx.shared::cta.b64", expect_bytes},
      {"mbarrier.arrive.shared::cta.b64", arrive},
      {"mbarrier.arrive.shared::cluster.b64", arrive},
      {"mbarrier.arrive.expect_tx.shared::cta.b64", arrive_and_expect_bytes},
      {"mbarrier.arrive.expect_tx.shared::cluster.b64", arrive_and_expect_bytes},
      {"mbarrier.test_wait.parity.shared::cta.b64", test_barrier},
      {"mbarrier.try_wait.parity.shared::cta.b64", try_barrier},
  };
  return actions;
}

}  // namespace cola::emulation
