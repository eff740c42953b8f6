// Matrix products through oneDNN. The only place that knows oneDNN, in its second and third major version.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

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

/// Generated code for one shape, made at its first use and kept; one scratchpad serves all. Not thread-safe:
/// each thread that multiplies on its own has its own cache, and inside a parallel region a product runs on
/// one thread.
class ProductCache {
 public:
  ProductCache();
  ~ProductCache();
  ProductCache(ProductCache&&) noexcept;
  ProductCache& operator=(ProductCache&&) noexcept;

  void multiply(const ProductShape& shape, const void* a, const void* b, void* c);

 private:
  struct Product;
  Product& find(const ProductShape& shape);

  std::map<ProductShape, std::unique_ptr<Product>> products_;
  std::vector<std::byte> scratchpad_;
};

}  // namespace cola::cpu
