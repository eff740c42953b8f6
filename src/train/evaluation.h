// Evaluation: the mean loss over validation tokens.
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <optional>

#include "dist/communicator.h"
#include "io/tokens/dataset.h"
#include "model/parameter_store.h"
#include "model/transformer.h"

namespace cola {

struct EvaluationResult {
  double loss = 0;          // nats a token, over targets that are not padding
  std::int64_t tokens = 0;  // such targets
  double perplexity() const { return std::exp(loss); }
};

/// Throws UsageError if all that an evaluation would read is padding: better known before the first step.
void require_targets(const TokenDataset& dataset, std::int64_t token_limit);

/// Evaluates the first samples of `dataset`, at most `token_limit` tokens of them (at least one sample), each
/// rank its part. Collective; every rank gets the same result, which does not depend on the number of ranks
/// but for rounding. `stop_requested` is asked before every micro-batch, by all ranks equally often; once it
/// says yes, there is no result.
std::optional<EvaluationResult> evaluate(Transformer& model, ParameterStore& store,
                                         const TokenDataset& dataset, Communicator& communicator,
                                         std::int64_t micro_batch, std::int64_t token_limit,
                                         const std::function<bool()>& stop_requested);

}  // namespace cola
