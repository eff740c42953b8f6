// For the emulator's own tests: device memory with host copies, and kernels whose fault is wanted.
#pragma once

#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/cuda/launch.h"
#include "core/error.h"

namespace cola::emulation {

template <typename T>
class DeviceArray {
 public:
  explicit DeviceArray(std::size_t count) : count_(count) {
    EXPECT_EQ(cudaMalloc(reinterpret_cast<void**>(&data_), count * sizeof(T)), cudaSuccess);
  }
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) {
    EXPECT_EQ(cudaMemcpy(data_, values.data(), count_ * sizeof(T), cudaMemcpyHostToDevice), cudaSuccess);
  }
  ~DeviceArray() { cudaFree(data_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* data() const { return data_; }
  std::vector<T> values() const {
    std::vector<T> result(count_);
    EXPECT_EQ(cudaMemcpy(result.data(), data_, count_ * sizeof(T), cudaMemcpyDeviceToHost), cudaSuccess);
    return result;
  }

 private:
  std::size_t count_;
  T* data_ = nullptr;
};

/// Runs one kernel to its end. Returns what is wrong with it, or nothing.
template <typename... Parameters, typename... Arguments>
std::string run(const cuda::LaunchShape& shape, void (*kernel)(Parameters...), Arguments... arguments) {
  try {
    cuda::launch("kernel", kernel, shape, nullptr, arguments...);
    cuda::check(cudaDeviceSynchronize(), "running");
  } catch (const DeviceError& error) {
    cudaGetLastError();
    return error.what();
  }
  return {};
}

inline ::testing::AssertionResult says(const std::string& message, const std::string& part) {
  if (message.find(part) != std::string::npos) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "\"" << message << "\" does not say \"" << part << "\"";
}

}  // namespace cola::emulation
