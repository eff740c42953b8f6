#include "core/cuda/hopper/fused_product_kernel.h"

namespace cola::cuda::fused {

namespace {

template <bool with_silu>
struct UpGradient : Elementwise<UpGradient<with_silu>> {
  __device__ static float of(float d_gated, float gate) {
    return rounded(d_gated) * (with_silu ? silu(gate) : gate);
  }
};
template <bool with_silu>
struct GateGradient : Elementwise<GateGradient<with_silu>> {
  __device__ static float of(float d_gated, float up, float gate) {
    return rounded(d_gated) * up * (with_silu ? silu_slope(gate) : 1.0f);
  }
};
// Hands on the first of two values: the second one is computed for the sake of being written.
struct First : Elementwise<First> {
  __device__ static float of(float first, float) { return first; }
};

template <bool with_silu>
struct GatedGradientFusion {
  static constexpr bool has_input = true;
  template <typename Descriptor>
  using DGate = Compute<GateGradient<with_silu>, float, Product, SecondInput<Descriptor>, Input>;
  template <typename Descriptor>
  using Tree = Compute<First, Element, Compute<UpGradient<with_silu>, float, Product, Input>,
                       SecondOutput<Descriptor, DGate<Descriptor>>>;
  template <typename Tree>
  static typename Tree::Arguments arguments(const Operands& o) {
    return {{{}, {}, {}},
            {{{}, {elements(o.second_input), Element(0), strides(o.second_input)}, {}, {}},
             {elements(o.second_output), strides(o.second_output)}},
            {}};
  }
};

}  // namespace

void gated_gradient_product(const Context& context, GateActivation activation, const Operands& operands) {
  if (activation == GateActivation::silu)
    Kernel<GatedGradientFusion<true>, StoredB::k_by_n>::run(context, operands);
  else
    Kernel<GatedGradientFusion<false>, StoredB::k_by_n>::run(context, operands);
}

}  // namespace cola::cuda::fused
