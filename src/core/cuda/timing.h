// What timing one kernel against another on real operands needs.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <functional>

namespace cola::cuda {

/// The time that `work` takes on the stream, in milliseconds: the shortest of three, after one that warms up.
/// Waits for the stream.
float shortest_milliseconds(cudaStream_t stream, const std::function<void()>& work);

/// Values in GPU memory, put aside, and back again when this ends.
class SavedValues {
 public:
  /// Nothing is saved where `values` is null.
  SavedValues(void* values, std::size_t bytes, cudaStream_t stream);
  ~SavedValues();
  SavedValues(const SavedValues&) = delete;
  SavedValues& operator=(const SavedValues&) = delete;
  /// Whether anything is saved: false also where there is no memory for it.
  explicit operator bool() const { return copy_ != nullptr; }

 private:
  void* values_;
  std::size_t bytes_;
  cudaStream_t stream_;
  void* copy_ = nullptr;
};

}  // namespace cola::cuda
