#include "io/files/write_pace.h"

#include <algorithm>
#include <thread>

#include "core/error.h"

namespace cola {

namespace {
// So long a sleep may outlast the request to stop.
constexpr auto longest_sleep = std::chrono::milliseconds(20);
}  // namespace

WritePace::WritePace(double bytes_per_second, std::stop_token stop, const std::atomic<bool>& unlimited,
                     double* slept)
    : bytes_per_second_(bytes_per_second), stop_(std::move(stop)), unlimited_(&unlimited), slept_(slept) {}

void WritePace::spend(std::size_t bytes) {
  if (stop_.stop_requested()) throw Error("stopped before the end");
  if (bytes_per_second_ <= 0) return;
  // Time that went by idle is not made up for: that would be a burst.
  due_ = std::max(due_, Clock::now() - longest_sleep);
  due_ += std::chrono::duration_cast<Clock::duration>(
      std::chrono::duration<double>(static_cast<double>(bytes) / bytes_per_second_));
  for (auto now = Clock::now(); now < due_ && !*unlimited_; now = Clock::now()) {
    std::this_thread::sleep_for(std::min<Clock::duration>(due_ - now, longest_sleep));
    if (slept_) *slept_ += std::chrono::duration<double>(Clock::now() - now).count();
    if (stop_.stop_requested()) throw Error("stopped before the end");
  }
}

}  // namespace cola
