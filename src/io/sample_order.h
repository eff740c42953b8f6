// SampleOrder: which sample a run reads at which position: a pure function of (seed, position), the same for
// any number of ranks, so that the data state of a run is one integer. Each epoch visits every sample once.
#pragma once

#include <cstdint>

namespace cola {

class SampleOrder {
 public:
  /// `samples` in the dataset, `sample_bytes` on disk: samples are shuffled in blocks of at least 1 MiB, and
  /// then inside a window of several blocks, so that reads stay in large runs.
  SampleOrder(std::uint64_t seed, std::int64_t samples, std::int64_t sample_bytes);

  /// The sample at `position` (0, 1, 2, … over all epochs).
  std::int64_t at(std::int64_t position) const;

 private:
  std::uint64_t seed_;
  std::int64_t samples_;
  std::int64_t samples_per_block_;
};

}  // namespace cola
