#include "core/buffer.h"

#include <utility>

#include "core/error.h"

namespace cola {

Buffer::Buffer(Device& device, std::size_t bytes)
    : device_(&device), data_(bytes ? device.allocate(bytes) : nullptr), bytes_(bytes) {}

Buffer::Buffer(Buffer&& other) noexcept {
  *this = std::move(other);
}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Buffer::~Buffer() {
  if (data_) device_->free(data_);
}

Tensor Buffer::tensor(DataType type, std::int64_t elements) const {
  Tensor result(data_, type, {elements});
  if (result.bytes() > bytes_) throw Error("{} does not fit a buffer of {} bytes", result.describe(), bytes_);
  return result;
}

}  // namespace cola
