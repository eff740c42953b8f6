// Buffer: device memory with an owner.
#pragma once

#include <cstddef>

#include "core/device.h"
#include "core/tensor.h"

namespace cola {

class Buffer {
 public:
  Buffer() = default;
  /// `bytes` of uninitialised memory on `device`, which must outlive the buffer. Throws DeviceError.
  Buffer(Device& device, std::size_t bytes);
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer();

  void* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  /// The first `elements` as a flat tensor.
  Tensor tensor(DataType type, std::int64_t elements) const;

 private:
  Device* device_ = nullptr;
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace cola
