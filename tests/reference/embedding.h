// Reference table look-up and its gradient, in double.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace cola::reference {

/// out[i] = table[ids[i]]: table [vocabulary, d], result [ids, d].
inline std::vector<double> embedding_forward(std::int64_t d, std::span<const std::int32_t> ids,
                                             std::span<const double> table) {
  std::vector<double> out;
  for (const std::int32_t id : ids)
    out.insert(out.end(), table.begin() + id * d, table.begin() + (id + 1) * d);
  return out;
}

/// d_table[ids[i]] += d_out[i].
inline void embedding_backward(std::int64_t d, std::span<const std::int32_t> ids,
                               std::span<const double> d_out, std::span<double> d_table) {
  for (std::size_t i = 0; i < ids.size(); ++i)
    for (std::int64_t j = 0; j < d; ++j) d_table[ids[i] * d + j] += d_out[i * d + j];
}

}  // namespace cola::reference
