#include "core/cpu/loaded_products.h"

#include <dlfcn.h>

#include "core/error.h"

namespace cola::cpu {

namespace {

// The part stays loaded until the program ends.
MakeProducts* load_onednn() {
  void* part = dlopen("libcola_onednn.so", RTLD_NOW | RTLD_LOCAL);
  void* function = part ? dlsym(part, make_products_name) : nullptr;
  if (!function)
    throw DeviceError(
        "products on the CPU need oneDNN, which cannot be loaded here: {}; install it, or train on a GPU",
        dlerror());
  return reinterpret_cast<MakeProducts*>(function);
}

}  // namespace

void LoadedProducts::multiply(const ProductShape& shape, const void* a, const void* b, void* c) {
  if (!products_) {
    static MakeProducts* const make_products = load_onednn();
    products_ = make_products();
  }
  products_->multiply(shape, a, b, c);
}

}  // namespace cola::cpu
