// Fused products in a build without CUTLASS, or for other GPUs than those of compute capability 9.0: none.
#include "core/cuda/hopper/hopper_products.h"
#include "core/error.h"

namespace cola::cuda::fused {

namespace {
[[noreturn]] void refuse() {
  throw DeviceError("this program was built without fused products");
}
}  // namespace

bool available(const Context&) {
  return false;
}
void added_product(const Context&, const Operands&) {
  refuse();
}
void silu_product(const Context&, const Operands&) {
  refuse();
}
void silu_gradient_product(const Context&, const Operands&) {
  refuse();
}
void gated_product(const Context&, GateActivation, const Operands&) {
  refuse();
}
void gated_gradient_product(const Context&, GateActivation, const Operands&) {
  refuse();
}
void norm_gradient_product(const Context&, const Operands&) {
  refuse();
}
void rotated_product(const Context&, const Operands&) {
  refuse();
}

}  // namespace cola::cuda::fused
