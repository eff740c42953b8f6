#include "io/tokens/blended_order.h"

#include <algorithm>
#include <iterator>

namespace cola {

CorpusBlend blend_of(const std::vector<Corpus>& corpora) {
  std::vector<double> weights;
  std::transform(corpora.begin(), corpora.end(), std::back_inserter(weights),
                 [](const Corpus& corpus) { return corpus.weight; });
  return CorpusBlend(weights);
}

BlendedOrder::BlendedOrder(std::uint64_t seed, const std::vector<Corpus>& corpora)
    : blend_(blend_of(corpora)) {
  std::int64_t first = 0;
  for (const Corpus& corpus : corpora) {
    orders_.emplace_back(seed, corpus.samples, corpus.sample_bytes, orders_.size(),
                         window_blocks_of(corpora.size()));
    first_samples_.push_back(first);
    first += corpus.samples;
  }
}

std::int64_t BlendedOrder::at(std::int64_t position) const {
  const CorpusPosition place = blend_.at(position);
  return first_samples_[place.corpus] + orders_[place.corpus].at(place.position);
}

}  // namespace cola
