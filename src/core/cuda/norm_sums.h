// Sums that norms' backward passes need beside the pass over rows and columns itself.
#pragma once

#include "core/cuda/context.h"
#include "core/tensor.h"

namespace cola::cuda {

/// total [columns] += the sum over the rows of partial [rows, columns], in a fixed order.
void add_column_sums(const Context& context, const float* partial, int rows, int columns, float* total);

/// What a norm's backward pass subtracts of each row of x (tests/reference/norm.h): inverse_rms^2 * mean(y *
/// dy), to x_factors [n] fp32. Where pre = y a^T and dy = d_pre a, sum(y * dy) = sum(pre * d_pre), which is
/// read in its place. pre, d_pre [n, k] bf16, rows of whole 16 bytes; inverse_rms [n] fp32; the mean is over
/// `columns`.
void norm_x_factors(const Context& context, const Tensor& pre, const Tensor& d_pre, const Tensor& inverse_rms,
                    std::int64_t columns, float* x_factors);
/// The same where the sums over stretches of the rows are known: row_dots [stretches, n] fp32.
void norm_x_factors(const Context& context, const Tensor& row_dots, const Tensor& inverse_rms,
                    std::int64_t columns, float* x_factors);

}  // namespace cola::cuda
