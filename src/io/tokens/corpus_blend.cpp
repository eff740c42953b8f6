#include "io/tokens/corpus_blend.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"

namespace cola {

namespace {

constexpr double all_parts = 0x1p31;  // so that twice the square of their sum is no more than 64 bits hold

/// count * part / whole, rounded to the nearest, halves up.
std::uint64_t portion(std::uint64_t count, std::uint64_t part, std::uint64_t whole) {
  return count / whole * part + (2 * (count % whole) * part + whole) / (2 * whole);
}

}  // namespace

CorpusBlend::CorpusBlend(const std::vector<double>& weights) : ends_{0} {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  if (weights.empty() || !std::isfinite(sum))
    throw UsageError("{} corpora, whose weights have the sum {}, cannot be blended", weights.size(), sum);
  for (const double weight : weights) {
    if (!(weight > 0)) throw UsageError("a corpus's weight must be greater than 0, got {}", weight);
    const auto parts = static_cast<std::uint64_t>(std::llround(weight / sum * all_parts));
    ends_.push_back(ends_.back() + std::max<std::uint64_t>(1, parts));
  }
}

std::vector<std::int64_t> CorpusBlend::parts() const {
  std::vector<std::int64_t> parts;
  for (std::size_t corpus = 0; corpus + 1 < ends_.size(); ++corpus)
    parts.push_back(static_cast<std::int64_t>(ends_[corpus + 1] - ends_[corpus]));
  return parts;
}

double CorpusBlend::share(std::size_t corpus) const {
  return static_cast<double>(ends_[corpus + 1] - ends_[corpus]) / static_cast<double>(ends_.back());
}

CorpusPosition CorpusBlend::at(std::int64_t position) const {
  auto place = static_cast<std::uint64_t>(position);  // among those of corpora first to last - 1
  std::size_t first = 0, last = ends_.size() - 1;
  while (last - first > 1) {
    const std::size_t middle = first + (last - first) / 2;
    const std::uint64_t lower = ends_[middle] - ends_[first], all = ends_[last] - ends_[first];
    const std::uint64_t before = portion(place, lower, all);
    const bool is_lower = portion(place + 1, lower, all) > before;
    place = is_lower ? before : place - before;
    (is_lower ? last : first) = middle;
  }
  return {first, static_cast<std::int64_t>(place)};
}

}  // namespace cola
