// Matrix products on the CPU, which oneDNN computes. oneDNN is loaded when the first product is asked for: a
// rank that trains on a GPU needs none, nor does the machine it runs on.
#pragma once

#include <compare>
#include <cstdint>
#include <memory>

#include "core/data_type.h"
#include "core/kernels/matmul.h"

namespace cola::cpu {

/// c (+)= op(a) op(b), dense; sizes are those after op: a [m, k], b [k, n], c [m, n].
struct ProductShape {
  std::int64_t m = 0, n = 0, k = 0;
  Transpose transpose_a = Transpose::no, transpose_b = Transpose::no;
  DataType input = DataType::float32, output = DataType::float32;
  Accumulate accumulate = Accumulate::no;
  auto operator<=>(const ProductShape&) const = default;
};

/// What computes products. Not thread-safe.
class Products {
 public:
  virtual ~Products() = default;
  /// Throws DeviceError.
  virtual void multiply(const ProductShape& shape, const void* a, const void* b, void* c) = 0;
};

/// The function of the part libcola_onednn.so that makes them (onednn_products.cpp), and its name there.
using MakeProducts = std::unique_ptr<Products>();
constexpr const char* make_products_name = "cola_make_onednn_products";

/// The products of that part, which the first of them loads. Not thread-safe: each thread that multiplies on
/// its own has an object of its own, and inside a parallel region a product runs on one thread.
class LoadedProducts {
 public:
  /// Throws DeviceError, also where oneDNN cannot be loaded.
  void multiply(const ProductShape& shape, const void* a, const void* b, void* c);

 private:
  std::unique_ptr<Products> products_;
};

}  // namespace cola::cpu
