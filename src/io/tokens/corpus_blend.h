// CorpusBlend: which of several corpora each position of a run reads from, in proportion to their weights: a
// pure function of the position, the same for any number of ranks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace cola {

/// One corpus's own position: 0, 1, 2, … over all of its epochs.
struct CorpusPosition {
  std::size_t corpus = 0;
  std::int64_t position = 0;
};

class CorpusBlend {
 public:
  /// One weight a corpus. Weights become whole parts, about 2^31 in all, of which every corpus has at least
  /// one: nothing after that is rounded. Throws UsageError for no weights, for one that is not greater than
  /// 0, and if they or their sum are not finite.
  explicit CorpusBlend(const std::vector<double>& weights);

  /// Each corpus's parts. Blends of equal parts are equal; of one corpus there is but one blend.
  std::vector<std::int64_t> parts() const;
  /// A corpus's parts over those of all.
  double share(std::size_t corpus) const;

  /// Where `position` (at least 0, less than 2^62) of the run lies. A corpus's own positions come one after
  /// another, without a gap. Of the first p positions it has p times its share, to within half of
  /// ceil(log2(corpora)) positions, whatever p: the corpora are halved over and over, as evenly in number as
  /// can be, and each half takes its share of those before to within half a position, as a line's pixels do
  /// (Bresenham, "Algorithm for computer control of a digital plotter", 1965).
  CorpusPosition at(std::int64_t position) const;

 private:
  std::vector<std::uint64_t> ends_;  // sums of the parts of the first 0, 1, 2, … corpora
};

}  // namespace cola
