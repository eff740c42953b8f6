// Instructions of assembly that the lanes of a warp do together (PTX ISA).
#include "assembly_program.h"
#include "block_runner.h"
#include "emulated_gpu.h"
#include "emulation_error.h"
#include "matrix_moves.h"
#include "warp_group_operations.h"

namespace cola::emulation {

namespace {

using Call = AssemblyCall;

constexpr unsigned whole_warp = 0xffffffffu;

BlockRunner& runner() {
  return EmulatedGpu::instance().runner();
}

void join(Call& call, WarpOperation operation, void* operand) {
  join_warp(call.name(), whole_warp, operation, operand, call.site());
}

// elect.sync lane|chosen, mask. GPUs choose the first lane, and CUTLASS counts on that (its pipelines'
// leaders).
void elect(Call& call) {
  if (call.word(2) != whole_warp) throw EmulationError("elect.sync in a part of a warp");
  join(
      call, [](const Operands&) {}, nullptr);
  call.set(0, 0);
  call.set(1, runner().lane() == 0);
}

// The registers, then the row, or the row and then the registers.
MatrixOperand matrices(const Call& call, bool stored, bool transposed) {
  MatrixOperand operand{{}, static_cast<unsigned>(call.arguments() - 1), transposed, nullptr};
  for (unsigned i = 0; stored && i < operand.matrices; ++i) operand.registers[i] = call.word(i + 1);
  if (runner().lane() < 8 * operand.matrices)
    operand.row = shared_pointer(call.name(), call.word(stored ? 0 : operand.matrices), 16);
  return operand;
}
template <bool transposed>
void load_matrix(Call& call) {
  MatrixOperand operand = matrices(call, false, transposed);
  join(call, load_matrices, &operand);
  for (unsigned i = 0; i < operand.matrices; ++i) call.set(i, operand.registers[i]);
}
template <bool transposed>
void store_matrix(Call& call) {
  MatrixOperand operand = matrices(call, true, transposed);
  join(call, store_matrices, &operand);
}

// --- Products of groups of warps

// wgmma {sums}, left, right, whether to add, signs of left and right, whether they are transposed
void start_product(Call& call) {
  const std::size_t sums = call.arguments() - 7;
  auto* const first = static_cast<float*>(call.variable(0));
  for (std::size_t i = 0; i < sums; ++i)
    if (call.variable(i) != first + i) throw EmulationError("sums of a product that do not lie side by side");
  if (call.word(sums + 3) != 1 || call.word(sums + 4) != 1)
    throw EmulationError("{} of an operand whose sign changes is not emulated", call.name());
  GroupProductOperand operand{first,
                              static_cast<unsigned>(2 * sums),
                              nullptr,
                              call.value(sums),
                              call.value(sums + 1),
                              call.word(sums + 5) != 0,
                              call.word(sums + 6) != 0,
                              call.word(sums + 2) != 0};
  join(
      call, [](const Operands& lanes) { runner().products().start(lanes, runner().first_row_in_group()); },
      &operand);
}
void prepare_products(Call& call) {
  join(
      call, [](const Operands&) { runner().products().prepare(); }, nullptr);
}
void close_products(Call& call) {
  join(
      call, [](const Operands&) { runner().products().close(); }, nullptr);
}
void wait_for_products(Call& call) {
  std::size_t newest = call.value(0);
  join(
      call, [](const Operands& lanes) { runner().products().wait(*static_cast<std::size_t*>(lanes[0])); },
      &newest);
}

}  // namespace

const AssemblyActions& actions_of_warps() {
  static const AssemblyActions actions{
      {"elect.sync", elect},
      {"ldmatrix.sync.aligned.x1.m8n8.shared.b16", load_matrix<false>},
      {"ldmatrix.sync.aligned.x2.m8n8.shared.b16", load_matrix<false>},
      {"ldmatrix.sync.aligned.x4.m8n8.shared.b16", load_matrix<false>},
      {"ldmatrix.sync.aligned.x1.trans.m8n8.shared.b16", load_matrix<true>},
      {"ldmatrix.sync.aligned.x2.trans.m8n8.shared.b16", load_matrix<true>},
      {"ldmatrix.sync.aligned.x4.trans.m8n8.shared.b16", load_matrix<true>},
      {"stmatrix.sync.aligned.x1.m8n8.shared.b16", store_matrix<false>},
      {"stmatrix.sync.aligned.x2.m8n8.shared.b16", store_matrix<false>},
      {"stmatrix.sync.aligned.x4.m8n8.shared.b16", store_matrix<false>},
      {"stmatrix.sync.aligned.x1.trans.m8n8.shared.b16", store_matrix<true>},
      {"stmatrix.sync.aligned.x2.trans.m8n8.shared.b16", store_matrix<true>},
      {"stmatrix.sync.aligned.x4.trans.m8n8.shared.b16", store_matrix<true>},
      {"wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16", start_product},
      {"wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16", start_product},
      {"wgmma.mma_async.sync.aligned.m64n192k16.f32.bf16.bf16", start_product},
      {"wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16", start_product},
      {"wgmma.fence.sync.aligned", prepare_products},
      {"wgmma.commit_group.sync.aligned", close_products},
      {"wgmma.wait_group.sync.aligned", wait_for_products},
  };
  return actions;
}

}  // namespace cola::emulation
