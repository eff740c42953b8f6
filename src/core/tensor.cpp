#include "core/tensor.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "core/error.h"

namespace cola {

Tensor::Tensor(void* data, DataType type, std::initializer_list<std::int64_t> shape)
    : data_(data), type_(type), rank_(static_cast<int>(shape.size())) {
  if (rank_ > max_rank) throw Error("a tensor has at most {} dimensions, not {}", max_rank, rank_);
  std::copy(shape.begin(), shape.end(), shape_.begin());
}

std::int64_t Tensor::elements() const {
  if (rank_ == 0) return 0;
  return std::accumulate(shape_.begin(), shape_.begin() + rank_, std::int64_t{1}, std::multiplies<>());
}

Tensor Tensor::rows(std::int64_t begin, std::int64_t end) const {
  if (rank_ == 0 || begin < 0 || end < begin || end > shape_[0])
    throw Error("rows {} to {} lie outside {}", begin, end, describe());
  Tensor result = *this;
  const std::int64_t row = shape_[0] == 0 ? 0 : elements() / shape_[0];
  if (data_)
    result.data_ = static_cast<std::byte*>(data_) + static_cast<std::size_t>(begin * row) * size_of(type_);
  result.shape_[0] = end - begin;
  return result;
}

Tensor Tensor::operator[](std::int64_t index) const {
  Tensor row = rows(index, index + 1);
  std::copy(row.shape_.begin() + 1, row.shape_.end(), row.shape_.begin());
  row.rank_ = rank_ - 1;
  return row;
}

Tensor Tensor::reshape(std::initializer_list<std::int64_t> shape) const {
  Tensor result(data_, type_, shape);
  if (result.elements() != elements()) throw Error("{} cannot be seen as {}", describe(), result.describe());
  return result;
}

Tensor Tensor::view(std::int64_t offset, std::initializer_list<std::int64_t> shape) const {
  Tensor result(data_, type_, shape);
  if (offset < 0 || offset + result.elements() > elements())
    throw Error("{} at offset {} lies outside {}", result.describe(), offset, describe());
  if (data_)
    result.data_ = static_cast<std::byte*>(data_) + static_cast<std::size_t>(offset) * size_of(type_);
  return result;
}

std::string Tensor::describe() const {
  std::string text = std::string(name_of(type_)) + "[";
  for (int i = 0; i < rank_; ++i)
    text += (i ? ", " : "") + std::to_string(shape_[static_cast<std::size_t>(i)]);
  return text + "]";
}

void Tensor::require_type(DataType type) const {
  if (type != type_) throw Error("{} was used as {}", describe(), name_of(type));
}

}  // namespace cola
