// The learning rate over a run: linear warm-up, then a cosine down to a fraction of the peak.
#pragma once

#include <cstdint>

namespace cola {

struct LearningRateSchedule {
  double peak = 0;
  std::int64_t total_steps = 0, warmup_steps = 0;
  double min_ratio = 0.1;  // of the peak, reached at total_steps

  /// The rate of update `step`, counted from 1: peak * step / warmup_steps up to the peak at warmup_steps,
  /// then peak * (min_ratio + (1 - min_ratio) * (1 + cos(pi * progress)) / 2).
  double at(std::int64_t step) const;
};

}  // namespace cola
