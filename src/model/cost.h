// What a model costs: floating-point operations, counted from the products that a step issues.
#pragma once

#include <cstdint>

#include "model/model_configuration.h"

namespace cola {

/// Operations (a multiplication and an addition are two) of the products of forward and backward for one
/// token, at this sequence length, in logical widths: 6 per weight of every matrix but the embedding, and
/// causal attention's products, 6 * hidden_size * (sequence + 1) a layer. What recomputation repeats is not
/// counted, as usual for MFU.
double training_operations_per_token(const ModelConfiguration& configuration, std::int64_t sequence_length);

/// What a recompute policy repeats of these in the backward pass, for one token: none: nothing; cola_m: the
/// products with B of q, k, v, gate and up, 2 rank (hidden_size + 2 kv_width + 2 intermediate_size) a layer;
/// block: each block's whole forward pass but the product that ends it.
double recomputed_operations_per_token(const ModelConfiguration& configuration, Recompute recompute,
                                       std::int64_t sequence_length);

}  // namespace cola
