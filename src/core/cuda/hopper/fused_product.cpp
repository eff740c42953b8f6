#include "core/cuda/fused_product.h"

namespace cola::cuda::fused {

bool available(const Context& context) {
  return context.is_hopper();
}

}  // namespace cola::cuda::fused
