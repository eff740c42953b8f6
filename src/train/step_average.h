// StepAverage: a quantity of the steps of late, smoothed.
#pragma once

#include <cstdint>

namespace cola {

/// An exponential moving average. The first step pays for what is set up once: the average forgets it.
class StepAverage {
 public:
  void add(double value) {
    value_ += (steps_ < 2 ? 1.0 : 0.1) * (value - value_);
    ++steps_;
  }

  /// Steps added so far, and the average over them; 0 before the first.
  std::int64_t steps() const { return steps_; }
  double value() const { return value_; }

 private:
  std::int64_t steps_ = 0;
  double value_ = 0;
};

}  // namespace cola
