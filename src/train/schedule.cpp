#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace cola {

double LearningRateSchedule::at(std::int64_t step) const {
  if (step < warmup_steps) return peak * static_cast<double>(step) / static_cast<double>(warmup_steps);
  if (decay == Decay::constant) return peak;
  const std::int64_t first =
      decay_steps > 0 ? std::max(warmup_steps, total_steps - decay_steps) : warmup_steps;
  const auto steps = static_cast<double>(std::max<std::int64_t>(1, total_steps - first));
  const double progress = std::clamp(static_cast<double>(step - first) / steps, 0.0, 1.0);
  const double left =
      decay == Decay::linear ? 1.0 - progress : 0.5 * (1.0 + std::cos(std::numbers::pi * progress));
  return peak * (min_ratio + (1.0 - min_ratio) * left);
}

}  // namespace cola
