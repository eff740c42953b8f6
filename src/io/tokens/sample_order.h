// SampleOrder: which sample of a corpus a run reads at which position: a pure function of (seed, position),
// the same for any number of ranks, so that the data state of a run is one integer. Each epoch visits every
// sample once.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cola {

/// Blocks in a window when so many corpora are read in turn: 16 up to four of them, then fewer, 64 in all,
/// but at least 2: a rank keeps what it read of every corpus's window.
std::int64_t window_blocks_of(std::size_t corpora);

class SampleOrder {
 public:
  /// `samples` in the corpus, `sample_bytes` on disk: samples are shuffled in blocks of at least 1 MiB, and
  /// then inside a window of several blocks, so that reads stay in large runs. Corpora of other numbers are
  /// shuffled in other ways.
  SampleOrder(std::uint64_t seed, std::int64_t samples, std::int64_t sample_bytes, std::size_t corpus = 0,
              std::int64_t window_blocks = window_blocks_of(1));

  /// The sample at `position` (0, 1, 2, … over all epochs).
  std::int64_t at(std::int64_t position) const;

 private:
  std::uint64_t key_;
  std::int64_t samples_;
  std::int64_t samples_per_block_;
  std::int64_t window_blocks_;
};

}  // namespace cola
