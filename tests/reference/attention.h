// Reference causal attention with grouped queries and its gradient, in double, with the whole row of
// probabilities:
//   s_ij = q_i . k_j / sqrt(head_dim) for j <= i,  p_i = softmax(s_i),  o_i = sum_j p_ij v_j
//   dv_j = sum_i p_ij do_i,  ds_ij = p_ij (do_i . v_j - do_i . o_i),  dq_i = sum_j ds_ij k_j /
//   sqrt(head_dim), dk alike
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "core/kernels/attention.h"

namespace cola::reference {

struct AttentionResult {
  std::vector<double> out, log_sum_exp;  // [batch * sequence, heads * head_dim], [batch, heads, sequence]
};

struct AttentionGradient {
  std::vector<double> dq, dk, dv;
};

/// Where the vector of one position and head begins in a tensor [batch * sequence, heads * head_dim].
inline std::int64_t head_offset(const AttentionShape& shape, std::int64_t heads, std::int64_t sample,
                                std::int64_t position, std::int64_t head) {
  return ((sample * shape.sequence + position) * heads + head) * shape.head_dim;
}

inline double dot(const double* a, const double* b, std::int64_t count) {
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) sum += a[i] * b[i];
  return sum;
}

inline void add_scaled(double scale, const double* source, double* destination, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) destination[i] += scale * source[i];
}

/// Scaled scores of query `position` against keys 0 to `position`.
inline std::vector<double> attention_scores(const AttentionShape& shape, std::span<const double> q,
                                            std::span<const double> k, std::int64_t sample, std::int64_t head,
                                            std::int64_t position) {
  const std::int64_t kv_head = head / (shape.heads / shape.kv_heads);
  const double* query = &q[head_offset(shape, shape.heads, sample, position, head)];
  std::vector<double> scores;
  for (std::int64_t j = 0; j <= position; ++j)
    scores.push_back(dot(query, &k[head_offset(shape, shape.kv_heads, sample, j, kv_head)], shape.head_dim) /
                     std::sqrt(static_cast<double>(shape.head_dim)));
  return scores;
}

inline double log_sum_exp_of(std::span<const double> scores) {
  const double maximum = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (const double score : scores) sum += std::exp(score - maximum);
  return maximum + std::log(sum);
}

/// Calls visit(sample, head, position) for every query.
template <typename Visit>
void for_each_query(const AttentionShape& shape, Visit visit) {
  for (std::int64_t sample = 0; sample < shape.batch; ++sample)
    for (std::int64_t head = 0; head < shape.heads; ++head)
      for (std::int64_t position = 0; position < shape.sequence; ++position) visit(sample, head, position);
}

inline AttentionResult attention_forward(const AttentionShape& shape, std::span<const double> q,
                                         std::span<const double> k, std::span<const double> v) {
  AttentionResult result{std::vector<double>(q.size()), {}};
  for_each_query(shape, [&](std::int64_t sample, std::int64_t head, std::int64_t position) {
    const std::int64_t kv_head = head / (shape.heads / shape.kv_heads);
    const std::vector<double> scores = attention_scores(shape, q, k, sample, head, position);
    const double log_sum_exp = log_sum_exp_of(scores);
    result.log_sum_exp.push_back(log_sum_exp);
    double* out = &result.out[head_offset(shape, shape.heads, sample, position, head)];
    for (std::int64_t j = 0; j <= position; ++j)
      add_scaled(std::exp(scores[j] - log_sum_exp),
                 &v[head_offset(shape, shape.kv_heads, sample, j, kv_head)], out, shape.head_dim);
  });
  return result;
}

inline AttentionGradient attention_backward(const AttentionShape& shape, std::span<const double> q,
                                            std::span<const double> k, std::span<const double> v,
                                            std::span<const double> dout) {
  AttentionGradient gradient{std::vector<double>(q.size()), std::vector<double>(k.size()),
                             std::vector<double>(v.size())};
  const AttentionResult forward = attention_forward(shape, q, k, v);
  const double scale = 1 / std::sqrt(static_cast<double>(shape.head_dim));
  for_each_query(shape, [&](std::int64_t sample, std::int64_t head, std::int64_t position) {
    const std::int64_t kv_head = head / (shape.heads / shape.kv_heads), width = shape.head_dim;
    const std::int64_t at = head_offset(shape, shape.heads, sample, position, head);
    const std::vector<double> scores = attention_scores(shape, q, k, sample, head, position);
    const double log_sum_exp = log_sum_exp_of(scores), mean = dot(&dout[at], &forward.out[at], width);
    for (std::int64_t j = 0; j <= position; ++j) {
      const std::int64_t key_at = head_offset(shape, shape.kv_heads, sample, j, kv_head);
      const double probability = std::exp(scores[j] - log_sum_exp);
      const double d_score = probability * (dot(&dout[at], &v[key_at], width) - mean);
      add_scaled(probability, &dout[at], &gradient.dv[key_at], width);
      add_scaled(d_score * scale, &k[key_at], &gradient.dq[at], width);
      add_scaled(d_score * scale, &q[at], &gradient.dk[key_at], width);
    }
  });
  return gradient;
}

}  // namespace cola::reference
