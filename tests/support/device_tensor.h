// DeviceTensor: a tensor with memory of its own on a device, poisoned with NaN until something is written,
// and followed by a guard zone that no kernel may touch.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

#include "core/buffer.h"
#include "core/data_type.h"
#include "core/device.h"
#include "core/tensor.h"

namespace cola {

/// The values as a tensor of `type` holds them.
inline std::vector<double> rounded(DataType type, std::vector<double> values) {
  for (double& value : values) {
    const float single = static_cast<float>(value);
    value = type == DataType::bfloat16 ? static_cast<float>(bfloat16(single)) : single;
  }
  return values;
}

class DeviceTensor {
 public:
  /// Every byte 0xff: a NaN in fp32 and bf16, -1 in int32.
  DeviceTensor(Device& device, DataType type, std::initializer_list<std::int64_t> shape)
      : device_(device), tensor_(nullptr, type, shape), buffer_(device, tensor_.bytes() + guard_bytes) {
    tensor_ = Tensor(buffer_.data(), type, shape);
    device.fill_bytes(buffer_.data(), 0xff, buffer_.bytes());
  }

  DeviceTensor(Device& device, DataType type, std::initializer_list<std::int64_t> shape,
               std::span<const double> values)
      : DeviceTensor(device, type, shape) {
    write(values);
  }

  DeviceTensor(Device& device, std::initializer_list<std::int64_t> shape,
               std::span<const std::int32_t> values)
      : DeviceTensor(device, DataType::int32, shape) {
    device.copy_from_host(tensor_.data(), values.data(), tensor_.bytes());
    device.synchronize();
  }

  operator const Tensor&() const { return tensor_; }
  const Tensor& tensor() const { return tensor_; }

  void write(std::span<const double> values) {
    ASSERT_EQ(static_cast<std::int64_t>(values.size()), tensor_.elements());
    if (tensor_.type() == DataType::float32)
      write_as<float>(values);
    else
      write_as<bfloat16>(values);
  }

  /// What the tensor holds now. Fails the test if the guard zone was written to.
  std::vector<double> values() const {
    std::vector<unsigned char> bytes(buffer_.bytes());
    device_.copy_to_host(bytes.data(), buffer_.data(), bytes.size());
    device_.synchronize();
    EXPECT_TRUE(
        std::all_of(bytes.end() - guard_bytes, bytes.end(), [](unsigned char byte) { return byte == 0xff; }))
        << "something was written beyond the end of " << tensor_.describe();
    return tensor_.type() == DataType::float32 ? read_as<float>(bytes) : read_as<bfloat16>(bytes);
  }

 private:
  static constexpr std::ptrdiff_t guard_bytes = 256;

  template <typename T>
  void write_as(std::span<const double> values) {
    std::vector<T> host(values.size());
    std::transform(values.begin(), values.end(), host.begin(),
                   [](double x) { return T(static_cast<float>(x)); });
    device_.copy_from_host(tensor_.data(), host.data(), tensor_.bytes());
    device_.synchronize();
  }

  template <typename T>
  std::vector<double> read_as(const std::vector<unsigned char>& bytes) const {
    const T* elements = reinterpret_cast<const T*>(bytes.data());
    std::vector<double> result(static_cast<std::size_t>(tensor_.elements()));
    std::transform(elements, elements + result.size(), result.begin(),
                   [](T x) { return static_cast<float>(x); });
    return result;
  }

  Device& device_;
  Tensor tensor_;
  Buffer buffer_;
};

}  // namespace cola
