// Matrix products through oneDNN, in its second and third major version: the part of the program that
// loaded_products.cpp loads, and the only place that knows oneDNN.
#include <cstring>
#include <dnnl.hpp>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "core/cpu/loaded_products.h"
#include "core/error.h"

namespace cola::cpu {

namespace {

const dnnl::engine& cpu_engine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

dnnl::memory::data_type type_of(DataType type) {
  return type == DataType::bfloat16 ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32;
}

// A dense row-major matrix [rows, columns] as it is after op; transposed ones are stored [columns, rows].
dnnl::memory::desc describe(std::int64_t rows, std::int64_t columns, Transpose transpose, DataType type) {
  const std::int64_t row_stride = transpose == Transpose::no ? columns : 1;
  const std::int64_t column_stride = transpose == Transpose::no ? 1 : rows;
  return {{rows, columns}, type_of(type), {row_stride, column_stride}};
}

dnnl::matmul::primitive_desc make_description(const ProductShape& shape) {
  const auto a = describe(shape.m, shape.k, shape.transpose_a, shape.input);
  const auto b = describe(shape.k, shape.n, shape.transpose_b, shape.input);
  const auto c = describe(shape.m, shape.n, Transpose::no, shape.output);
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (shape.accumulate == Accumulate::yes) {
    dnnl::post_ops sum;
    sum.append_sum(1.0f);
    attributes.set_post_ops(sum);
  }
#if DNNL_VERSION_MAJOR >= 3
  return {cpu_engine(), a, b, c, attributes};
#else
  return {dnnl::matmul::desc(a, b, c), attributes, cpu_engine()};
#endif
}

// Generated code for one shape.
struct Product {
  explicit Product(const dnnl::matmul::primitive_desc& description)
      : primitive(description),
        a(description.src_desc(), cpu_engine(), DNNL_MEMORY_NONE),
        b(description.weights_desc(), cpu_engine(), DNNL_MEMORY_NONE),
        c(description.dst_desc(), cpu_engine(), DNNL_MEMORY_NONE),
        scratchpad(description.scratchpad_desc(), cpu_engine(), DNNL_MEMORY_NONE),
        stream(cpu_engine()),
        arguments{
            {DNNL_ARG_SRC, a}, {DNNL_ARG_WEIGHTS, b}, {DNNL_ARG_DST, c}, {DNNL_ARG_SCRATCHPAD, scratchpad}} {}

  dnnl::matmul primitive;
  dnnl::memory a, b, c, scratchpad;
  dnnl::stream stream;
  std::unordered_map<int, dnnl::memory> arguments;
};

// Products are made at their first use and kept; one scratchpad serves all.
class OneDnnProducts final : public Products {
 public:
  void multiply(const ProductShape& shape, const void* a, const void* b, void* c) override;

 private:
  Product& find(const ProductShape& shape);

  std::map<ProductShape, std::unique_ptr<Product>> products_;
  std::vector<std::byte> scratchpad_;
};

Product& OneDnnProducts::find(const ProductShape& shape) {
  std::unique_ptr<Product>& product = products_[shape];
  if (!product) product = std::make_unique<Product>(make_description(shape));
  return *product;
}

void OneDnnProducts::multiply(const ProductShape& shape, const void* a, const void* b, void* c) {
  if (shape.k == 0) {  // nothing for oneDNN to do: its third version leaves c as it was
    if (shape.accumulate == Accumulate::no)
      std::memset(c, 0, static_cast<std::size_t>(shape.m * shape.n) * size_of(shape.output));
    return;
  }
  try {
    Product& product = find(shape);
    const std::size_t needed = product.scratchpad.get_desc().get_size();
    if (scratchpad_.size() < needed) scratchpad_.resize(needed);
    product.a.set_data_handle(const_cast<void*>(a));
    product.b.set_data_handle(const_cast<void*>(b));
    product.c.set_data_handle(c);
    product.scratchpad.set_data_handle(scratchpad_.data());
    product.primitive.execute(product.stream, product.arguments);
  } catch (const dnnl::error& error) {
    throw DeviceError("oneDNN could not multiply [{}, {}] by [{}, {}] in {}: {}", shape.m, shape.k, shape.k,
                      shape.n, name_of(shape.input), error.message ? error.message : "unknown error");
  }
}

}  // namespace

}  // namespace cola::cpu

extern "C" std::unique_ptr<cola::cpu::Products> cola_make_onednn_products() {
  return std::make_unique<cola::cpu::OneDnnProducts>();
}
