#include "core/kernels/attention.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/device.h"
#include "core/error.h"
#include "reference/attention.h"
#include "reference/rope.h"
#include "support/device_tensor.h"
#include "support/finite_difference.h"
#include "support/relative_error.h"
#include "support/test_random.h"

namespace cola {
namespace {

std::int64_t query_elements(const AttentionShape& shape) {
  return shape.batch * shape.sequence * shape.heads * shape.head_dim;
}
std::int64_t key_elements(const AttentionShape& shape) {
  return shape.batch * shape.sequence * shape.kv_heads * shape.head_dim;
}

std::string describe(const AttentionShape& shape, DataType type) {
  return fmt::format("batch {} sequence {} heads {} kv_heads {} head_dim {} {}", shape.batch, shape.sequence,
                     shape.heads, shape.kv_heads, shape.head_dim, name_of(type));
}

// Tables of random angles: no position, and no pair of elements, turns like another.
struct Angles {
  Angles(TestRandom& random, std::int64_t positions, std::int64_t head_dim) {
    for (const double angle : random.normal(positions * head_dim / 2, 3.0)) {
      cosines.push_back(std::cos(angle));
      sines.push_back(std::sin(angle));
    }
    cosines = rounded(DataType::float32, std::move(cosines));
    sines = rounded(DataType::float32, std::move(sines));
  }

  std::vector<double> rotate(const AttentionShape& shape, std::int64_t heads, const std::vector<double>& x,
                             Rotation rotation) const {
    return reference::rotate({shape.batch, shape.sequence, heads, shape.head_dim}, x, cosines, sines,
                             rotation);
  }

  std::vector<double> cosines, sines;
};

// The gradients with respect to queries and keys before their rotation, q and k being the rotated ones.
reference::AttentionGradient gradient_before_rotation(const AttentionShape& shape, const Angles& angles,
                                                      const std::vector<double>& q,
                                                      const std::vector<double>& k,
                                                      const std::vector<double>& v,
                                                      const std::vector<double>& dout) {
  auto gradient = reference::attention_backward(shape, q, k, v, dout);
  gradient.dq = angles.rotate(shape, shape.heads, gradient.dq, Rotation::backward);
  gradient.dk = angles.rotate(shape, shape.kv_heads, gradient.dk, Rotation::backward);
  return gradient;
}

TEST(AttentionReference, AgreesWithHandValues) {
  // head_dim 4, so the scale is 1/2. Position 0 sees itself alone; position 1 scores ln 3 and 0.
  const double score = 2 * std::log(3.0);
  const std::vector<double> q{9, 9, 9, 9, 1, 0, 0, 0}, k{score, 0, 0, 0, 0, 0, 0, 0};
  const std::vector<double> v{1, 2, 3, 4, 5, 6, 7, 8};
  const auto result = reference::attention_forward({1, 2, 1, 1, 4}, q, k, v);
  const std::vector<double> expected{1, 2, 3, 4,
                                     2, 3, 4, 5};  // then 3/4 of the first value and 1/4 of the second
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(result.out[i], expected[i], 1e-14) << i;
  EXPECT_NEAR(result.log_sum_exp[0], 9 * std::log(3.0), 1e-14);
  EXPECT_NEAR(result.log_sum_exp[1], std::log(4.0), 1e-14);
}

TEST(AttentionReference, NeighbouringQueryHeadsShareAKeyHead) {
  // One position: the output is the value of the head that is read.
  const std::vector<double> q(4 * 2, 1.0), k(2 * 2, 1.0), v{1, 2, 3, 4};
  EXPECT_EQ(reference::attention_forward({1, 1, 4, 2, 2}, q, k, v).out,
            (std::vector<double>{1, 2, 1, 2, 3, 4, 3, 4}));
}

TEST(AttentionReference, GradientAgreesWithFiniteDifferences) {
  TestRandom random;
  SCOPED_TRACE(random.describe());
  for (const std::int64_t kv_heads : {4, 2, 1}) {
    const AttentionShape shape{2, 5, 4, kv_heads, 3};
    const auto q = random.normal(query_elements(shape)), dout = random.normal(query_elements(shape));
    const auto k = random.normal(key_elements(shape)), v = random.normal(key_elements(shape));
    const auto gradient = reference::attention_backward(shape, q, k, v, dout);
    using Point = std::vector<double>;
    const auto of_q = [&](const Point& x) {
      return inner_product(reference::attention_forward(shape, x, k, v).out, dout);
    };
    const auto of_k = [&](const Point& x) {
      return inner_product(reference::attention_forward(shape, q, x, v).out, dout);
    };
    const auto of_v = [&](const Point& x) {
      return inner_product(reference::attention_forward(shape, q, k, x).out, dout);
    };
    EXPECT_TRUE(is_close(gradient.dq, finite_difference_gradient(of_q, q), 1e-8));
    EXPECT_TRUE(is_close(gradient.dk, finite_difference_gradient(of_k, k), 1e-8));
    EXPECT_TRUE(is_close(gradient.dv, finite_difference_gradient(of_v, v), 1e-8));
  }
}

TEST(AttentionReference, GradientBeforeTheRotationAgreesWithFiniteDifferences) {
  TestRandom random;
  SCOPED_TRACE(random.describe());
  const AttentionShape shape{2, 5, 4, 2, 6};
  const Angles angles(random, shape.sequence, shape.head_dim);
  const auto x = random.normal(query_elements(shape)), dout = random.normal(query_elements(shape));
  const auto y = random.normal(key_elements(shape)), v = random.normal(key_elements(shape));
  using Point = std::vector<double>;
  const auto query = [&](const Point& p) { return angles.rotate(shape, shape.heads, p, Rotation::forward); };
  const auto key = [&](const Point& p) { return angles.rotate(shape, shape.kv_heads, p, Rotation::forward); };
  const auto loss = [&](const Point& q, const Point& k) {
    return inner_product(reference::attention_forward(shape, q, k, v).out, dout);
  };
  const auto gradient = gradient_before_rotation(shape, angles, query(x), key(y), v, dout);
  const auto of_x = [&](const Point& p) { return loss(query(p), key(y)); };
  const auto of_y = [&](const Point& p) { return loss(query(x), key(p)); };
  EXPECT_TRUE(is_close(gradient.dq, finite_difference_gradient(of_x, x), 1e-8));
  EXPECT_TRUE(is_close(gradient.dk, finite_difference_gradient(of_y, y), 1e-8));
}

// Inputs on the host as the device sees them, and on the device.
struct Inputs {
  Inputs(Device& device, TestRandom& random, const AttentionShape& shape, DataType type,
         double deviation = 1.0)
      : q(rounded(type, random.normal(query_elements(shape), deviation))),
        k(rounded(type, random.normal(key_elements(shape), deviation))),
        v(rounded(type, random.normal(key_elements(shape)))),
        device_q(device, type, {shape.batch * shape.sequence, shape.heads * shape.head_dim}, q),
        device_k(device, type, {shape.batch * shape.sequence, shape.kv_heads * shape.head_dim}, k),
        device_v(device, type, {shape.batch * shape.sequence, shape.kv_heads * shape.head_dim}, v) {}

  AttentionInputs on_device() const { return {device_q, device_k, device_v}; }

  std::vector<double> q, k, v;
  DeviceTensor device_q, device_k, device_v;
};

struct Outputs {
  Outputs(Device& device, const AttentionShape& shape, DataType type)
      : out(device, type, {shape.batch * shape.sequence, shape.heads * shape.head_dim}),
        log_sum_exp(device, DataType::float32, {shape.batch, shape.heads, shape.sequence}) {}
  DeviceTensor out, log_sum_exp;
};

struct DeviceAngles {
  DeviceAngles(Device& device, const Angles& angles, std::int64_t positions, std::int64_t head_dim)
      : cosines(device, DataType::float32, {positions, head_dim / 2}, angles.cosines),
        sines(device, DataType::float32, {positions, head_dim / 2}, angles.sines) {}
  operator RotationTables() const { return {cosines, sines}; }
  DeviceTensor cosines, sines;
};

struct Gradients {
  Gradients(Device& device, const AttentionShape& shape, DataType type)
      : dq(device, type, {shape.batch * shape.sequence, shape.heads * shape.head_dim}),
        dk(device, type, {shape.batch * shape.sequence, shape.kv_heads * shape.head_dim}),
        dv(device, type, {shape.batch * shape.sequence, shape.kv_heads * shape.head_dim}) {}
  DeviceTensor dq, dk, dv;
};

void check_forward(Device& device, TestRandom& random, const AttentionShape& shape, DataType type) {
  SCOPED_TRACE(describe(shape, type));
  const Inputs in(device, random, shape, type);
  const Outputs result(device, shape, type);
  device.attention().forward(shape, in.on_device(), {result.out, result.log_sum_exp});
  const auto expected = reference::attention_forward(shape, in.q, in.k, in.v);
  EXPECT_TRUE(is_close(result.out.values(), expected.out, tolerance_of(type)));
  EXPECT_TRUE(is_close(result.log_sum_exp.values(), expected.log_sum_exp, tolerance_of(type)));
}

void check_backward(Device& device, TestRandom& random, const AttentionShape& shape, DataType type) {
  SCOPED_TRACE(describe(shape, type));
  const Inputs in(device, random, shape, type);
  const auto dout = rounded(type, random.normal(query_elements(shape)));
  const auto forward = reference::attention_forward(shape, in.q, in.k, in.v);
  Outputs kept(device, shape, type);
  kept.out.write(forward.out);
  kept.log_sum_exp.write(forward.log_sum_exp);
  const DeviceTensor device_dout(device, type, {shape.batch * shape.sequence, shape.heads * shape.head_dim},
                                 dout);
  // Either exactly the positions of a sequence, or more.
  const std::int64_t positions = shape.batch == 1 ? shape.sequence : shape.sequence + 5;
  const Angles angles(random, positions, shape.head_dim);
  const DeviceAngles tables(device, angles, positions, shape.head_dim);
  const Gradients result(device, shape, type);
  device.attention().backward(shape, in.on_device(), {kept.out, kept.log_sum_exp}, device_dout, tables,
                              {result.dq, result.dk, result.dv});
  const auto expected = gradient_before_rotation(shape, angles, in.q, in.k, in.v, dout);
  // One position attends to itself alone: dq and dk are zero but for rounding, and have no relative error.
  if (shape.sequence > 1) {
    EXPECT_TRUE(is_close(result.dq.values(), expected.dq, tolerance_of(type)));
    EXPECT_TRUE(is_close(result.dk.values(), expected.dk, tolerance_of(type)));
  } else {
    for (const double value : result.dq.values()) EXPECT_NEAR(value, 0, 100 * tolerance_of(type));
    for (const double value : result.dk.values()) EXPECT_NEAR(value, 0, 100 * tolerance_of(type));
  }
  EXPECT_TRUE(is_close(result.dv.values(), expected.dv, tolerance_of(type)));
}

// Every length with every head size, the grouping of heads changing from one to the next.
std::vector<AttentionShape> shapes() {
  std::vector<AttentionShape> result;
  std::int64_t kv_heads = 4;
  for (const std::int64_t sequence : {1, 7, 64, 100, 257})
    for (const std::int64_t head_dim : {8, 16, 64, 128}) {
      result.push_back({sequence > 100 ? 1 : 2, sequence, 4, kv_heads, head_dim});
      kv_heads = kv_heads == 1 ? 4 : kv_heads / 2;
    }
  result.push_back({3, 33, 1, 1, 24});
  result.push_back({1, 130, 6, 2, 40});
  result.push_back({1, 70, 2, 1, 256});
  return result;
}

// What tensor cores take, with lengths around their tiles of 32 and 64 rows, and groups of query heads.
std::vector<AttentionShape> tensor_core_shapes() {
  std::vector<AttentionShape> result;
  for (const std::int64_t head_dim : {64, 128}) {
    for (const std::int64_t sequence : {33, 65, 200, 256}) result.push_back({1, sequence, 2, 2, head_dim});
    result.push_back({2, 96, 6, 2, head_dim});
    result.push_back({1, 300, 3, 1, head_dim});
  }
  for (const std::int64_t sequence : {1, 64, 100, 129, 255}) result.push_back({2, sequence, 3, 3, 64});
  result.push_back({45, 40, 3, 3, 64});  // more heads than multiprocessors
  return result;
}

// A GPU may have several attentions: the one it uses by itself, this project's own, and cuDNN's.
enum class AttentionOf { cpu, cuda, cuda_flash, cuda_whole_heads, cuda_cudnn };

AttentionChoice choice_of(AttentionOf of) {
  switch (of) {
    case AttentionOf::cuda_flash:
      return AttentionChoice::flash;
    case AttentionOf::cuda_whole_heads:
      return AttentionChoice::whole_heads;
    case AttentionOf::cuda_cudnn:
      return AttentionChoice::cudnn;
    default:
      return AttentionChoice::automatic;
  }
}

// The way that the choice leads to where the shape allows it; empty where any will do.
std::string_view way_of(AttentionOf of, const AttentionShape& shape, DataType type) {
  const bool on_tensor_cores = type == DataType::bfloat16 && (shape.head_dim == 64 || shape.head_dim == 128);
  if (of == AttentionOf::cpu || of == AttentionOf::cuda) return {};
  if (!on_tensor_cores) return "plain";
  const bool whole = shape.head_dim == 64 && shape.heads == shape.kv_heads && shape.sequence <= 256;
  if (of == AttentionOf::cuda_whole_heads && whole) return "whole_heads";
  if (of == AttentionOf::cuda_cudnn && shape.sequence > 1) return {};  // 16 shapes at most have a plan
  return "flash";
}

class AttentionKernel : public ::testing::TestWithParam<AttentionOf> {
 protected:
  void SetUp() override {
    if (GetParam() == AttentionOf::cpu)
      device_ = make_cpu_device();
    else if (cuda_device_count() == 0)
      GTEST_SKIP() << "no CUDA device on this machine";
    else
      try {
        device_ = make_cuda_device(0, {.attention = choice_of(GetParam())});
      } catch (const UsageError& error) {
        GTEST_SKIP() << error.what();
      }
  }

  Device& device() const { return *device_; }

 private:
  std::unique_ptr<Device> device_;
};

TEST_P(AttentionKernel, ForwardAgreesWithReference) {
  TestRandom random;
  SCOPED_TRACE(random.describe());
  for (const AttentionShape& shape : shapes())
    for (const DataType type : {DataType::float32, DataType::bfloat16})
      check_forward(device(), random, shape, type);
  for (const AttentionShape& shape : tensor_core_shapes())
    check_forward(device(), random, shape, DataType::bfloat16);
}

TEST_P(AttentionKernel, BackwardAgreesWithReference) {
  TestRandom random;
  SCOPED_TRACE(random.describe());
  for (const AttentionShape& shape : shapes())
    for (const DataType type : {DataType::float32, DataType::bfloat16})
      check_backward(device(), random, shape, type);
  for (const AttentionShape& shape : tensor_core_shapes())
    check_backward(device(), random, shape, DataType::bfloat16);
}

// So that the tests above are about what their names say.
TEST_P(AttentionKernel, ComputesAsChosen) {
  for (const auto& all : {shapes(), tensor_core_shapes()})
    for (const AttentionShape& shape : all)
      for (const DataType type : {DataType::float32, DataType::bfloat16}) {
        const std::string_view expected = way_of(GetParam(), shape, type);
        if (!expected.empty()) {
          EXPECT_EQ(device().attention().implementation(shape, type), expected) << describe(shape, type);
        }
      }
  if (GetParam() == AttentionOf::cuda) {
    const auto way = [this](const AttentionShape& shape) {
      return device().attention().implementation(shape, DataType::bfloat16);
    };
    bool has_whole_heads = true;
    try {
      make_cuda_device(0, {.attention = AttentionChoice::whole_heads});
    } catch (const UsageError&) {
      has_whole_heads = false;
    }
    EXPECT_EQ(way({1, 256, 2, 2, 64}), has_whole_heads ? "whole_heads" : "flash");
    EXPECT_EQ(way({1, 257, 2, 2, 64}), "flash");
    EXPECT_EQ(way({1, 256, 2, 1, 64}), "flash");
  }
  if (GetParam() == AttentionOf::cuda_cudnn) {
    EXPECT_EQ(make_cuda_device(0, {.attention = AttentionChoice::cudnn})
                  ->attention()
                  .implementation({1, 256, 2, 2, 64}, DataType::bfloat16),
              "cudnn");
  }
}

TEST_P(AttentionKernel, LargeScoresDoNotOverflow) {
  TestRandom random;
  SCOPED_TRACE(random.describe());
  const AttentionShape shape{1, 100, 2, 1, 64};
  for (const DataType type : {DataType::float32, DataType::bfloat16}) {
    SCOPED_TRACE(name_of(type));
    const Inputs in(device(), random, shape, type, 30.0);  // scores around 900
    const Outputs result(device(), shape, type);
    device().attention().forward(shape, in.on_device(), {result.out, result.log_sum_exp});
    const auto expected = reference::attention_forward(shape, in.q, in.k, in.v);
    EXPECT_TRUE(is_close(result.out.values(), expected.out,
                         1e-2));  // scores this large keep few digits after the point
    EXPECT_TRUE(is_close(result.log_sum_exp.values(), expected.log_sum_exp, 1e-5));
  }
}

void check_repeatable(Device& device, TestRandom& random, const AttentionShape& shape, DataType type) {
  SCOPED_TRACE(describe(shape, type));
  const Inputs in(device, random, shape, type);
  const DeviceTensor dout(device, type, {shape.batch * shape.sequence, shape.heads * shape.head_dim},
                          random.normal(query_elements(shape)));
  const DeviceAngles tables(device, Angles(random, shape.sequence, shape.head_dim), shape.sequence,
                            shape.head_dim);
  const Outputs outputs[2] = {{device, shape, type}, {device, shape, type}};
  const Gradients gradients[2] = {{device, shape, type}, {device, shape, type}};
  for (int call = 0; call < 2; ++call) {
    const auto& [out, log_sum_exp] = outputs[call];
    const auto& [dq, dk, dv] = gradients[call];
    device.attention().forward(shape, in.on_device(), {out, log_sum_exp});
    device.attention().backward(shape, in.on_device(), {out, log_sum_exp}, dout, tables, {dq, dk, dv});
  }
  EXPECT_EQ(outputs[0].out.values(), outputs[1].out.values());
  EXPECT_EQ(outputs[0].log_sum_exp.values(), outputs[1].log_sum_exp.values());
  EXPECT_EQ(gradients[0].dq.values(), gradients[1].dq.values());
  EXPECT_EQ(gradients[0].dk.values(), gradients[1].dk.values());
  EXPECT_EQ(gradients[0].dv.values(), gradients[1].dv.values());
}

TEST_P(AttentionKernel, IsRepeatable) {
  TestRandom random;
  SCOPED_TRACE(random.describe());
  check_repeatable(device(), random, {2, 257, 4, 2, 16}, DataType::float32);
  check_repeatable(device(), random, {2, 257, 4, 2, 16}, DataType::bfloat16);
  check_repeatable(device(), random, {2, 200, 4, 2, 64}, DataType::bfloat16);
  check_repeatable(device(), random, {2, 256, 4, 4, 64}, DataType::bfloat16);
}

std::string label(const ::testing::TestParamInfo<AttentionOf>& information) {
  switch (information.param) {
    case AttentionOf::cpu:
      return "cpu";
    case AttentionOf::cuda:
      return "cuda";
    case AttentionOf::cuda_flash:
      return "cuda_flash";
    case AttentionOf::cuda_whole_heads:
      return "cuda_whole_heads";
    case AttentionOf::cuda_cudnn:
      break;
  }
  return "cuda_cudnn";
}
INSTANTIATE_TEST_SUITE_P(Devices, AttentionKernel,
                         ::testing::Values(AttentionOf::cpu, AttentionOf::cuda, AttentionOf::cuda_flash,
                                           AttentionOf::cuda_whole_heads, AttentionOf::cuda_cudnn),
                         label);

}  // namespace
}  // namespace cola
