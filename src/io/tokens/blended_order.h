// BlendedOrder: which sample of a data set a run reads at which position: a pure function of (seed,
// position). Corpora take turns in proportion to their weights; each is read in an order and in epochs of its
// own.
#pragma once

#include <cstdint>
#include <vector>

#include "io/tokens/corpus_blend.h"
#include "io/tokens/dataset.h"
#include "io/tokens/sample_order.h"

namespace cola {

/// Of a data set's corpora, by their weights.
CorpusBlend blend_of(const std::vector<Corpus>& corpora);

class BlendedOrder {
 public:
  /// Of one corpus it is SampleOrder.
  BlendedOrder(std::uint64_t seed, const std::vector<Corpus>& corpora);

  /// The data set's sample at `position` (0, 1, 2, …).
  std::int64_t at(std::int64_t position) const;

 private:
  CorpusBlend blend_;
  std::vector<SampleOrder> orders_;          // inside each corpus
  std::vector<std::int64_t> first_samples_;  // of each corpus in the data set
};

}  // namespace cola
