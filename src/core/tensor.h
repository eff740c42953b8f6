// Tensor: a typed, shaped view of memory it does not own, always dense and row-major. Cheap to copy, like a
// span.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "core/data_type.h"

namespace cola {

class Tensor {
 public:
  static constexpr int max_rank = 4;

  /// The empty tensor: no memory, no elements.
  Tensor() = default;
  /// A view of `data`, which holds at least product(shape) elements of `type`. Data may be null when only
  /// planned.
  Tensor(void* data, DataType type, std::initializer_list<std::int64_t> shape);

  template <typename T>
  static Tensor of(std::span<T> values) {
    return Tensor(values.data(), data_type_of<T>(), {static_cast<std::int64_t>(values.size())});
  }

  void* data() const { return data_; }
  DataType type() const { return type_; }
  int rank() const { return rank_; }
  bool empty() const { return rank_ == 0; }
  /// Size of dimension `index`; a negative index counts from the last.
  std::int64_t dim(int index) const {
    return shape_[static_cast<std::size_t>(index < 0 ? rank_ + index : index)];
  }
  std::int64_t elements() const;
  std::size_t bytes() const { return static_cast<std::size_t>(elements()) * size_of(type_); }

  /// The elements as T. Throws Error if T is not the tensor's type.
  template <typename T>
  T* as() const {
    require_type(data_type_of<T>());
    return static_cast<T*>(data_);
  }
  template <typename T>
  std::span<T> span() const {
    return {as<T>(), static_cast<std::size_t>(elements())};
  }

  /// Entries [begin, end) of the first dimension.
  Tensor rows(std::int64_t begin, std::int64_t end) const;
  /// Entry `index` of the first dimension, that dimension removed.
  Tensor operator[](std::int64_t index) const;
  /// The same elements in another shape. Throws Error if the number of elements differs.
  Tensor reshape(std::initializer_list<std::int64_t> shape) const;
  /// `shape` elements starting at flat element `offset`.
  Tensor view(std::int64_t offset, std::initializer_list<std::int64_t> shape) const;

  /// For messages: "bf16[4, 256, 512]".
  std::string describe() const;

 private:
  void require_type(DataType type) const;

  void* data_ = nullptr;
  DataType type_ = DataType::float32;
  int rank_ = 0;
  std::array<std::int64_t, max_rank> shape_{};
};

}  // namespace cola
