#include "core/cuda/hopper/fused_product_kernel.h"

namespace cola::cuda::fused {

namespace {

struct Silu : Elementwise<Silu> {
  __device__ static float of(float product) { return silu(rounded(product)); }
};

struct SiluFusion {
  static constexpr bool has_input = false;
  template <typename Descriptor>
  using Tree = Compute<Silu, Element, SecondOutput<Descriptor, Product>>;
  template <typename Tree>
  static typename Tree::Arguments arguments(const Operands& o) {
    return {{{}, {elements(o.second_output), strides(o.second_output)}}, {}};
  }
};

}  // namespace

void silu_product(const Context& context, const Operands& operands) {
  Kernel<SiluFusion, StoredB::n_by_k>::run(context, operands);
}

}  // namespace cola::cuda::fused
