#include "core/cuda/fused_product.h"

namespace cola::cuda::fused {

// The kernels are compiled for sm_90a alone, whose instructions no later GPU has.
bool available(const Context& context) {
  return context.compute_capability == 90;
}

}  // namespace cola::cuda::fused
