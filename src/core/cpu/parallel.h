// Small helpers of the CPU kernels: dispatch over element types and splitting work over threads.
#pragma once

#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <mutex>
#include <utility>

#include "core/divide_up.h"
#include "core/error.h"
#include "core/tensor.h"

namespace cola::cpu {

/// Calls function.operator()<T>() with T the type that `type` names. Throws Error for integers.
template <typename Function>
decltype(auto) for_type(DataType type, Function&& function) {
  switch (type) {
    case DataType::float32:
      return function.template operator()<float>();
    case DataType::bfloat16:
      return function.template operator()<bfloat16>();
    default:
      throw Error("a kernel was given {} where it needs fp32 or bf16", name_of(type));
  }
}

/// The part [first, second) of [0, count) that falls to one of `parts`; boundaries are multiples of
/// `granularity`.
inline std::pair<std::int64_t, std::int64_t> part_of(std::int64_t count, int part, int parts,
                                                     std::int64_t granularity = 1) {
  const std::int64_t blocks = divide_up(count, granularity);
  return {std::min(count, blocks * part / parts * granularity),
          std::min(count, blocks * (part + 1) / parts * granularity)};
}

/// Carries the first exception of a parallel region out of it: none may leave the region itself.
class FirstException {
 public:
  template <typename Action>
  void guard(Action&& action) noexcept {
    try {
      action();
    } catch (...) {
      const std::scoped_lock lock(mutex_);
      if (!exception_) exception_ = std::current_exception();
    }
  }
  void rethrow() const {
    if (exception_) std::rethrow_exception(exception_);
  }

 private:
  std::mutex mutex_;
  std::exception_ptr exception_;
};

/// Throws Error with `message` unless `condition`: for shapes that do not fit.
inline void require(bool condition, const char* message) {
  if (!condition) throw Error("{}", message);
}

}  // namespace cola::cpu
