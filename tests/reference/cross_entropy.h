// Reference cross-entropy, in double: loss = log(sum_j exp(z_j)) - z_target over the real columns, and the
// gradient of the sum of the losses, softmax(z) - one_hot(target).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "core/kernels/cross_entropy.h"

namespace cola::reference {

struct CrossEntropyResult {
  std::vector<double> losses, d_logits;  // [n], [n, stored]
};

/// logits [n, stored] of which the first `vocabulary` columns are real; n is the number of targets.
inline CrossEntropyResult cross_entropy(std::int64_t stored, std::int64_t vocabulary,
                                        std::span<const double> logits,
                                        std::span<const std::int32_t> targets) {
  CrossEntropyResult result{std::vector<double>(targets.size()), std::vector<double>(logits.size())};
  for (std::size_t row = 0; row < targets.size(); ++row) {
    if (targets[row] == ignored_target) continue;
    const auto real = logits.subspan(row * stored, vocabulary);
    const double maximum = *std::max_element(real.begin(), real.end());
    double sum = 0;
    for (const double logit : real) sum += std::exp(logit - maximum);
    result.losses[row] = maximum + std::log(sum) - real[targets[row]];
    for (std::int64_t j = 0; j < vocabulary; ++j)
      result.d_logits[row * stored + j] = std::exp(real[j] - maximum) / sum - (j == targets[row] ? 1 : 0);
  }
  return result;
}

}  // namespace cola::reference
