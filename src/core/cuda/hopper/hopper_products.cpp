#include "core/cuda/hopper/hopper_products.h"

namespace cola::cuda::fused {

bool available(const Context& context) {
  return context.is_hopper();
}

}  // namespace cola::cuda::fused
