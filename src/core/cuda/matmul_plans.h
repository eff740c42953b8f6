// MatmulPlans: what cuBLASLt needs to multiply, made once a kind of product and kept.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <span>

#include "core/cuda/context.h"
#include "core/data_type.h"

namespace cola::cuda {

/// Everything that decides how a product is computed. Row-major, as the project's tensors: c [m, n] = op(a)
/// op(b), or that and an addend [m, n], `batch` times, the matrices of a batch one after the other.
struct MatmulKind {
  std::int64_t batch = 1, m = 0, n = 0, k = 0;
  bool transpose_a = false, transpose_b = false;
  DataType input = DataType::float32, output = DataType::float32;
  bool adds = false;
  int alignment = 256;  // bytes: the largest power of two, 256 at most, that divides all addresses
  auto operator<=>(const MatmulKind&) const = default;
};

/// Where a product's matrices lie. The addend has c's type, may be c, and is null where nothing is added.
struct MatmulOperands {
  const void *a, *b, *addend;
  void* c;
};

class MatmulPlans {
 public:
  /// Products of `smallest_timed` operations or more are timed at their first use.
  MatmulPlans(const Context& context, double smallest_timed);
  ~MatmulPlans();

  /// c = op(a) op(b) (+ addend) on the context's stream; m, n and k are positive. Sums are kept in fp32 and
  /// repeat bit by bit. A kind's plan is chosen at its first use: by cuBLASLt's heuristics, and for large
  /// bf16 products on Hopper by timing those suggestions that add up in the order of the first one, so that
  /// the choice is about speed alone. Throws DeviceError naming the product if cuBLASLt has no way to compute
  /// it.
  void multiply(const MatmulKind& kind, const MatmulOperands& operands);

 private:
  struct Plan;
  const Plan& find(const MatmulKind& kind, const MatmulOperands& operands);
  void choose_fastest(Plan& plan, const MatmulKind& kind, const MatmulOperands& operands,
                      std::span<const cublasLtMatmulHeuristicResult_t> suggestions);
  cublasStatus_t start(const Plan& plan, const cublasLtMatmulAlgo_t& algorithm,
                       const MatmulOperands& operands) const;

  const Context& context_;
  double smallest_timed_;
  std::map<MatmulKind, std::unique_ptr<Plan>> plans_;
};

}  // namespace cola::cuda
