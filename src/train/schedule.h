// The learning rate over a run: linear warm-up, the peak, and a fall to a fraction of it at the end.
#pragma once

#include <cstdint>

namespace cola {

/// How the rate falls: along a cosine, along a line, or not at all.
enum class Decay { cosine, linear, constant };

struct LearningRateSchedule {
  double peak = 0;
  std::int64_t total_steps = 0, warmup_steps = 0;
  double min_ratio = 0.1;  // of the peak, reached at total_steps
  Decay decay = Decay::cosine;
  std::int64_t decay_steps = 0;  // at the end; 0: all after the warm-up

  /// The rate of update `step`, counted from 1: peak * step / warmup_steps up to the peak at warmup_steps,
  /// then the peak, and over the last decay_steps peak * (min_ratio + (1 - min_ratio) * left), with `left`
  /// (1 + cos(pi * progress)) / 2 or 1 - progress.
  double at(std::int64_t step) const;
};

}  // namespace cola
