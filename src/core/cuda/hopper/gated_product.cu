#include "core/cuda/hopper/fused_product_kernel.h"

namespace cola::cuda::fused {

namespace {

template <bool with_silu>
struct Gated : Elementwise<Gated<with_silu>> {
  __device__ static float of(float up, float gate) { return (with_silu ? silu(gate) : gate) * rounded(up); }
};

template <bool with_silu>
struct GatedFusion {
  static constexpr bool has_input = true;
  template <typename Descriptor>
  using Tree = Compute<Gated<with_silu>, Element, SecondOutput<Descriptor, Product>, Input>;
  template <typename Tree>
  static typename Tree::Arguments arguments(const Operands& o) {
    return {{{}, {elements(o.second_output), strides(o.second_output)}}, {}, {}};
  }
};

}  // namespace

void gated_product(const Context& context, GateActivation activation, const Operands& operands) {
  if (activation == GateActivation::silu)
    Kernel<GatedFusion<true>, StoredB::n_by_k>::run(context, operands);
  else
    Kernel<GatedFusion<false>, StoredB::n_by_k>::run(context, operands);
}

}  // namespace cola::cuda::fused
