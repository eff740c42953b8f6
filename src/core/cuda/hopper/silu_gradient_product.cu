#include "core/cuda/hopper/fused_product_kernel.h"

namespace cola::cuda::fused {

namespace {

struct SiluGradient : Elementwise<SiluGradient> {
  __device__ static float of(float product, float x) { return rounded(product) * silu_slope(x); }
};

struct SiluGradientFusion {
  static constexpr bool has_input = true;
  template <typename Descriptor>
  using Tree = Compute<SiluGradient, Element, Product, Input>;
  template <typename Tree>
  static typename Tree::Arguments arguments(const Operands&) {
    return {{}, {}, {}};
  }
};

}  // namespace

void silu_gradient_product(const Context& context, const Operands& operands) {
  Kernel<SiluGradientFusion, StoredB::k_by_n>::run(context, operands);
}

}  // namespace cola::cuda::fused
