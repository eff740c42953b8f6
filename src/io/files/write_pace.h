// WritePace: holds background writing to a rate, and lets it be stopped.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <stop_token>

namespace cola {

class WritePace {
 public:
  /// As fast as it goes, and never stopped.
  WritePace() = default;
  /// `bytes_per_second` on average, until `unlimited` becomes true; 0: as fast as it goes.
  /// The seconds that it sleeps are added to `slept`, where that is given; it outlives the pace.
  WritePace(double bytes_per_second, std::stop_token stop, const std::atomic<bool>& unlimited,
            double* slept = nullptr);

  /// After so many bytes were written: sleeps until they are due. Throws Error when a stop is requested.
  void spend(std::size_t bytes);

 private:
  using Clock = std::chrono::steady_clock;

  double bytes_per_second_ = 0;
  std::stop_token stop_;
  const std::atomic<bool>* unlimited_ = nullptr;
  double* slept_ = nullptr;
  Clock::time_point due_ = Clock::now();
};

}  // namespace cola
