// Where the instructions of assembly are, and those that one thread does by itself (PTX ISA). Those that no
// emulated kernel uses are nowhere.
#include "assembly_program.h"
#include "emulation_error.h"

namespace cola::emulation {

namespace {

using Call = AssemblyCall;

// Registers, caches and the order of launches are not emulated.
void nothing(Call&) {}

void move(Call& call) {
  call.set(0, call.value(1));
}
// Blocks are in clusters of their own: shared memory is where it is.
void find_in_cluster(Call& call) {
  if (call.word(2) != 0) throw EmulationError("shared memory of block {} of a cluster of one", call.word(2));
  call.set(0, call.value(1));
}
void set_if_equal(Call& call) {
  call.set(0, call.word(1) == call.word(2));
}
void set_if_different(Call& call) {
  call.set(0, call.word(1) != call.word(2));
}
void select(Call& call) {
  call.set(0, call.value(3) != 0 ? call.value(1) : call.value(2));
}

const AssemblyActions& actions_of_threads() {
  static const AssemblyActions actions{
      {"fence.mbarrier_init.release.cluster", nothing},
      {"setmaxnreg.inc.sync.aligned.u32", nothing},
      {"setmaxnreg.dec.sync.aligned.u32", nothing},
      {"mapa.shared::cluster.u32", find_in_cluster},
      {"mov.u32", move},
      {"mov.s32", move},
      {"mov.b32", move},
      {"setp.eq.u32", set_if_equal},
      {"setp.ne.b32", set_if_different},
      {"selp.b32", select},
  };
  return actions;
}

}  // namespace

AssemblyAction action_of(std::string_view instruction) {
  for (const auto* actions :
       {&actions_of_threads(), &actions_of_warps(), &actions_of_barriers(), &actions_of_copies()})
    if (const auto found = actions->find(instruction); found != actions->end()) return found->second;
  return nullptr;
}

}  // namespace cola::emulation
