#include "core/kernels/fused_product.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "reference/activation.h"
#include "reference/matmul.h"
#include "reference/norm.h"
#include "reference/rope.h"
#include "support/device_tensor.h"
#include "support/device_test.h"
#include "support/relative_error.h"
#include "support/test_random.h"

namespace cola {
namespace {

using reference::multiply;

// Rows beyond a tile, one row alone, widths that are no multiple of a tile or of 16 bytes.
struct Size {
  std::int64_t n, in, out;
};
const std::vector<Size> small_sizes{{1, 8, 8}, {7, 40, 24}, {130, 72, 264}, {300, 24, 136}, {33, 12, 30}};

// A GPU's name ends in ", 132 multiprocessors".
std::int64_t multiprocessors(const Device& device) {
  const std::string name = device.name();
  return std::stoll(name.substr(name.rfind(", ") + 2));
}

// More tiles of 128 x 128 than twice the GPU's multiprocessors: its blocks work on several, in two groups.
std::int64_t rows_of_many_tiles(const Device& device, std::int64_t tiles_a_row) {
  return 128 * (3 * multiprocessors(device) / tiles_a_row) - 71;
}

std::vector<Size> sizes_for(const Device& device, DataType type) {
  std::vector<Size> sizes = small_sizes;
  if (device.fused_products().joins(type)) sizes.push_back({rows_of_many_tiles(device, 4), 40, 392});
  return sizes;
}

// Also deeper than the stages of a Hopper kernel hold.
std::vector<Size> deep_sizes_for(const Device& device, DataType type) {
  std::vector<Size> sizes = sizes_for(device, type);
  sizes.push_back({140, 648, 200});
  return sizes;
}

class FusedProductKernel : public DeviceTest {
 protected:
  DeviceTensor random_tensor(DataType type, std::initializer_list<std::int64_t> shape,
                             std::vector<double>& values) {
    std::int64_t elements = 1;
    for (const std::int64_t size : shape) elements *= size;
    values = rounded(type, random_.normal(elements));
    return DeviceTensor(device(), type, shape, values);
  }
  // The sums over a row's stretches, of row_dots [stretches, n].
  std::vector<double> sums_of_stretches(const Tensor& row_dots) const {
    std::vector<float> dots(row_dots.elements());
    device().copy_to_host(dots.data(), row_dots.data(), row_dots.bytes());
    device().synchronize();
    std::vector<double> sums(row_dots.dim(1));
    for (std::size_t i = 0; i < dots.size(); ++i) sums[i % sums.size()] += dots[i];
    return sums;
  }
  // What they are of: the sums over each of n rows of x * y.
  static std::vector<double> row_dots_of(std::size_t n, const std::vector<double>& x,
                                         const std::vector<double>& y) {
    std::vector<double> dots(n);
    for (std::size_t i = 0; i < x.size(); ++i) dots[i / (x.size() / n)] += x[i] * y[i];
    return dots;
  }
  const FusedProductKernels& kernels() const { return device().fused_products(); }

  TestRandom random_;
};

TEST_P(FusedProductKernel, SiluProductAgreesWithReference) {
  SCOPED_TRACE(random_.describe());
  for (const DataType type : {DataType::float32, DataType::bfloat16})
    for (const std::int64_t parts : {1, 2, 3})
      for (const auto& [n, in, r] : sizes_for(device(), type)) {
        SCOPED_TRACE(fmt::format("{} parts {} n {} in {} r {}", name_of(type), parts, n, in, r));
        std::vector<double> x, a;
        const auto device_x = random_tensor(type, {n, in}, x);
        const auto device_a = random_tensor(type, {parts * r, in}, a);
        const DeviceTensor pre(device(), type, {n, parts * r}), split(device(), type, {parts, n, r});
        kernels().silu_product(device_x, device_a, pre, split);
        const auto expected =
            multiply({.m = n, .n = parts * r, .k = in}, x, Transpose::no, a, Transpose::yes);
        EXPECT_TRUE(is_close(pre.values(), expected, tolerance_of(type)));
        EXPECT_TRUE(
            is_close(split.values(), reference::silu_split(parts, n, r, expected), tolerance_of(type)));
        // What is computed again from pre is the same to the bit.
        const DeviceTensor again(device(), type, {parts, n, r});
        device().activation().silu_split(pre, again);
        EXPECT_EQ(split.values(), again.values());
      }
}

TEST_P(FusedProductKernel, SiluProductBackwardAgreesWithReference) {
  SCOPED_TRACE(random_.describe());
  for (const DataType type : {DataType::float32, DataType::bfloat16})
    for (const std::int64_t parts : {1, 2, 3})
      for (const auto& [n, out, r] : sizes_for(device(), type)) {
        SCOPED_TRACE(fmt::format("{} parts {} n {} out {} r {}", name_of(type), parts, n, out, r));
        std::vector<double> d_outputs, b, pre;
        const auto device_d_outputs = random_tensor(type, {parts, n, out}, d_outputs);
        const auto device_b = random_tensor(type, {parts, out, r}, b);
        const auto device_pre = random_tensor(type, {n, parts * r}, pre);
        const DeviceTensor d_split(device(), type, {parts, n, r}), d_pre(device(), type, {n, parts * r});
        const Tensor row_dots =
            kernels().silu_product_backward(device_d_outputs, device_b, device_pre, d_split, d_pre);
        const auto expected_d_split =
            multiply({.batch = parts, .m = n, .n = r, .k = out}, d_outputs, Transpose::no, b, Transpose::no);
        EXPECT_TRUE(is_close(d_pre.values(),
                             reference::silu_split_backward(parts, n, r, pre, expected_d_split),
                             tolerance_of(type)));
        if (!row_dots.empty()) {
          EXPECT_TRUE(is_close(sums_of_stretches(row_dots), row_dots_of(n, pre, d_pre.values()),
                               tolerance_of(DataType::float32)));
        }
      }
}

TEST_P(FusedProductKernel, GatedProductAgreesWithReference) {
  SCOPED_TRACE(random_.describe());
  for (const GateActivation activation : {GateActivation::none, GateActivation::silu})
    for (const DataType type : {DataType::float32, DataType::bfloat16})
      for (const auto& [n, r, f] : sizes_for(device(), type)) {
        SCOPED_TRACE(fmt::format("{} {} n {} r {} f {}", activation == GateActivation::silu ? "silu" : "none",
                                 name_of(type), n, r, f));
        std::vector<double> x, b, gate, d_pre, a;
        const auto device_x = random_tensor(type, {n, r}, x);
        const auto device_b = random_tensor(type, {f, r}, b);
        const auto device_gate = random_tensor(type, {n, f}, gate);
        const DeviceTensor up(device(), type, {n, f}), product(device(), type, {n, f});
        kernels().gated_product(activation, device_x, device_b, device_gate, up, product);
        const auto expected_up = multiply({.m = n, .n = f, .k = r}, x, Transpose::no, b, Transpose::yes);
        EXPECT_TRUE(is_close(up.values(), expected_up, tolerance_of(type)));
        EXPECT_TRUE(is_close(product.values(), reference::gate_product(activation, gate, expected_up),
                             tolerance_of(type)));
        EXPECT_EQ(device_gate.values(), gate) << "the gate is only read";
        // The same to the bit where it is computed apart.
        const DeviceTensor apart(device(), type, {n, f});
        device().activation().gate_product(activation, device_gate, up, apart);
        EXPECT_EQ(product.values(), apart.values());
      }
}

TEST_P(FusedProductKernel, GatedProductBackwardAgreesWithReference) {
  SCOPED_TRACE(random_.describe());
  for (const GateActivation activation : {GateActivation::none, GateActivation::silu})
    for (const DataType type : {DataType::float32, DataType::bfloat16})
      for (const auto& [n, r, f] : sizes_for(device(), type)) {
        SCOPED_TRACE(fmt::format("{} {} n {} r {} f {}", activation == GateActivation::silu ? "silu" : "none",
                                 name_of(type), n, r, f));
        std::vector<double> d_pre, a, gate, up;
        const auto device_d_pre = random_tensor(type, {n, r}, d_pre);
        const auto device_a = random_tensor(type, {r, f}, a);
        const auto device_gate = random_tensor(type, {n, f}, gate);
        const auto device_up = random_tensor(type, {n, f}, up);
        const DeviceTensor d_product(device(), type, {n, f});
        kernels().gated_product_backward(activation, device_d_pre, device_a, d_product, device_gate,
                                         device_up);
        const auto expected = reference::gate_product_backward(
            activation, gate, up, multiply({.m = n, .n = f, .k = r}, d_pre, Transpose::no, a, Transpose::no));
        EXPECT_TRUE(is_close(device_gate.values(), expected.d_gate, tolerance_of(type)));
        EXPECT_TRUE(is_close(device_up.values(), expected.d_up, tolerance_of(type)));
      }
}

// pre is a product of what the norm wrote, so that a sum over a row may be taken from it. Its gradient is
// like it here, which makes that sum large.
TEST_P(FusedProductKernel, NormedProductBackwardAddsTheReferencesGradient) {
  SCOPED_TRACE(random_.describe());
  for (const DataType type : {DataType::float32, DataType::bfloat16})
    for (const auto& [n, k, d] : deep_sizes_for(device(), type)) {
      SCOPED_TRACE(fmt::format("{} n {} k {} d {}", name_of(type), n, k, d));
      std::vector<double> x, weight, a, dx;
      const auto device_x = random_tensor(type, {n, d}, x);
      const auto device_weight = random_tensor(type, {d}, weight);
      const auto device_a = random_tensor(type, {k, d}, a);
      auto device_dx = random_tensor(type, {n, d}, dx);
      const auto [y, inverse_rms] = reference::norm_forward(n, d, x, weight, 1e-6);
      const DeviceTensor device_inverse_rms(device(), DataType::float32, {n}, inverse_rms);
      const auto pre = rounded(type, multiply({.m = n, .n = k, .k = d}, y, Transpose::no, a, Transpose::yes));
      const DeviceTensor device_pre(device(), type, {n, k}, pre);
      std::vector<double> d_pre = random_.normal(n * k);
      for (std::size_t i = 0; i < pre.size(); ++i) d_pre[i] += pre[i];
      d_pre = rounded(type, d_pre);
      const DeviceTensor device_d_pre(device(), type, {n, k}, d_pre);
      const std::vector<double> dweight = random_.normal(d);
      DeviceTensor device_dweight(device(), DataType::float32, {d});
      const DeviceTensor dy(device(), type, {n, d});
      // Their sums over rows, in two stretches, or left to the kernel.
      std::vector<double> halves = row_dots_of(n, pre, d_pre);
      for (double& half : halves) half /= 2;
      halves.insert(halves.end(), halves.begin(), halves.begin() + n);
      const DeviceTensor row_dots(device(), DataType::float32, {2, n}, halves);

      const auto expected_dy = multiply({.m = n, .n = d, .k = k}, d_pre, Transpose::no, a, Transpose::no);
      auto expected = reference::norm_backward(n, d, expected_dy, x, weight, inverse_rms);
      for (std::size_t i = 0; i < dx.size(); ++i) expected.dx[i] += dx[i];
      for (std::size_t i = 0; i < dweight.size(); ++i) expected.dweight[i] += dweight[i];
      for (const Tensor& known : {Tensor(), row_dots.tensor()}) {
        device_dx.write(dx);
        device_dweight.write(dweight);
        kernels().normed_product_backward(
            device_d_pre, device_a, device_pre, known, dy,
            {device_x, device_weight, device_inverse_rms, device_dx, device_dweight});
        EXPECT_TRUE(is_close(device_dx.values(), expected.dx, tolerance_of(type)));
        EXPECT_TRUE(is_close(device_dweight.values(), expected.dweight, tolerance_of(type)));
        EXPECT_EQ(device_x.values(), x) << "the norm's input is only read";
      }
    }
}

TEST_P(FusedProductKernel, RotatedProductAgreesWithReference) {
  SCOPED_TRACE(random_.describe());
  struct Heads {
    std::int64_t batch, sequence, heads, head_dim, r;
  };
  for (const DataType type : {DataType::float32, DataType::bfloat16}) {
    std::vector<Heads> shapes{{1, 1, 1, 64, 8}, {3, 50, 3, 64, 40}, {2, 33, 2, 128, 24}, {2, 5, 3, 16, 24}};
    if (kernels().joins(type))
      shapes.push_back({rows_of_many_tiles(device(), 4) / 150, 150, 4, 64, 40});  // many tiles
    for (const auto& [batch, sequence, heads, head_dim, r] : shapes)
      for (const std::int64_t rotated_parts : {0, 2, 3}) {
        const std::int64_t n = batch * sequence, out = heads * head_dim, parts = 3;
        SCOPED_TRACE(fmt::format("{} {} x {} heads {} x {} r {}, {} rotated", name_of(type), batch, sequence,
                                 heads, head_dim, r, rotated_parts));
        std::vector<double> x, b, cosines, sines;
        const auto device_x = random_tensor(type, {parts, n, r}, x);
        const auto device_b = random_tensor(type, {parts, out, r}, b);
        // Any numbers do: what is turned by which is what can go wrong.
        const auto device_cosines = random_tensor(DataType::float32, {sequence, head_dim / 2}, cosines);
        const auto device_sines = random_tensor(DataType::float32, {sequence, head_dim / 2}, sines);
        const DeviceTensor outputs(device(), type, {parts, n, out});
        kernels().rotated_product(device_x, device_b, {device_cosines, device_sines}, rotated_parts, outputs);
        auto expected =
            multiply({.batch = parts, .m = n, .n = out, .k = r}, x, Transpose::no, b, Transpose::yes);
        for (std::int64_t part = 0; part < rotated_parts; ++part) {
          const auto rows = std::span(expected).subspan(part * n * out, n * out);
          const auto turned =
              reference::rotate({batch, sequence, heads, head_dim}, rows, cosines, sines, Rotation::forward);
          std::copy(turned.begin(), turned.end(), rows.begin());
        }
        EXPECT_TRUE(is_close(outputs.values(), expected, tolerance_of(type)));
      }
  }
}

TEST_P(FusedProductKernel, IsRepeatable) {
  SCOPED_TRACE(random_.describe());
  const DataType type = DataType::bfloat16;
  constexpr std::int64_t parts = 2, n = 300, in = 1032, r = 136, f = 264;
  std::vector<double> ignored;
  const auto x = random_tensor(type, {n, in}, ignored), a = random_tensor(type, {parts * r, in}, ignored);
  const auto d_outputs = random_tensor(type, {parts, n, f}, ignored);
  const auto b = random_tensor(type, {parts, f, r}, ignored);
  const auto gate = random_tensor(type, {n, f}, ignored);
  const auto weight = random_tensor(type, {in}, ignored);
  const DeviceTensor inverse_rms(device(), DataType::float32, {n}, random_.normal(n));
  const std::vector<double> stream = random_.normal(n * in);
  const auto all_products = [&] {
    const DeviceTensor pre(device(), type, {n, parts * r}), split(device(), type, {parts, n, r});
    kernels().silu_product(x, a, pre, split);
    const DeviceTensor d_split(device(), type, {parts, n, r}), d_pre(device(), type, {n, parts * r});
    const Tensor row_dots = kernels().silu_product_backward(d_outputs, b, pre, d_split, d_pre);
    const DeviceTensor up(device(), type, {n, f}), product(device(), type, {n, f});
    kernels().gated_product(GateActivation::silu, split.tensor()[0], b.tensor()[0], gate, up, product);
    const DeviceTensor dx(device(), type, {n, in}, stream), dy(device(), type, {n, in});
    const DeviceTensor dweight(device(), DataType::float32, {in}, std::vector<double>(in));
    kernels().normed_product_backward(d_pre, a, pre, row_dots, dy, {x, weight, inverse_rms, dx, dweight});
    return std::vector{pre.values(),     split.values(), d_pre.values(),  up.values(),
                       product.values(), dx.values(),    dweight.values()};
  };
  EXPECT_EQ(all_products(), all_products());
}

INSTANTIATE_TEST_SUITE_P(Devices, FusedProductKernel, every_device(), device_label);

}  // namespace
}  // namespace cola
