// Checks of collectives on a device's memory: values, and their order among the kernels before and after
// them. Called by every rank.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <span>
#include <vector>

#include "core/device.h"
#include "dist/collective_checks.h"
#include "dist/communicator.h"
#include "support/device_tensor.h"

namespace cola::testing {

inline std::vector<double> as_doubles(const std::vector<float>& values) {
  return {values.begin(), values.end()};
}

/// A tensor that a collective works on: written by a kernel just before, and read by one just after.
class TravellingTensor {
 public:
  TravellingTensor(Device& device, const std::vector<float>& values)
      : device_(device),
        source_(device, DataType::float32, {count(values)}, as_doubles(values)),
        travelling_(device, DataType::float32, {count(values)}),
        copy_(device, DataType::float32, {count(values)}) {}

  std::span<float> depart() {
    device_.copy_on_device(travelling_.tensor().data(), source_.tensor().data(), source_.tensor().bytes());
    return travelling_.tensor().span<float>();
  }
  void arrive() {
    const Tensor& tensor = travelling_.tensor();
    device_.copy_on_device(copy_.tensor().data(), tensor.data(), tensor.bytes());
    device_.fill_bytes(tensor.data(), 0, tensor.bytes());
  }
  std::vector<double> values() const {
    travelling_.values();  // checks that nothing was written beyond its end
    return copy_.values();
  }

 private:
  static std::int64_t count(const std::vector<float>& values) {
    return static_cast<std::int64_t>(values.size());
  }

  Device& device_;
  DeviceTensor source_, travelling_, copy_;
};

/// All three collectives at a time. Ranks make progress unevenly, and agree on numbers in between.
inline void check_device_collectives(Device& device, Communicator& communicator, std::size_t chunk) {
  const int rank = communicator.rank(), size = communicator.size();
  const std::size_t elements = chunk * static_cast<std::size_t>(size),
                    first = chunk * static_cast<std::size_t>(rank);
  std::vector<float> own(elements, -1.0f);
  for (std::size_t i = 0; i < chunk; ++i) own[first + i] = small_number(rank, i);
  TravellingTensor scattered(device, small_numbers(rank, elements)),
      sum(device, std::vector<float>(chunk, -1.0f));
  TravellingTensor reduced(device, small_numbers(rank, elements)), gathered(device, own);

  const std::span<float> target = sum.depart();
  const auto gather = communicator.start_all_gather(std::as_writable_bytes(gathered.depart()));
  const auto reduce = communicator.start_all_reduce(reduced.depart());
  const auto scatter = communicator.start_reduce_scatter(scattered.depart(), target);
  for (int again = 0; again < 4 * rank; ++again) gather->progress();
  std::vector<double> ranks{1};
  communicator.all_reduce(ranks);
  EXPECT_EQ(ranks[0], size);
  scatter->wait();
  sum.arrive();
  gather->wait();
  gathered.arrive();
  reduce->wait();
  reduced.arrive();

  const std::vector<double> sums = sum.values(), all_sums = reduced.values(), parts = gathered.values();
  EXPECT_TRUE(scatter->progress());
  for (std::size_t i = 0; i < chunk; ++i) ASSERT_EQ(sums[i], plain_sum(size, first + i)) << i;
  for (std::size_t i = 0; i < elements; ++i) ASSERT_EQ(all_sums[i], plain_sum(size, i)) << i;
  for (std::size_t i = 0; i < elements; ++i)
    ASSERT_EQ(parts[i], small_number(static_cast<int>(i / chunk), i % chunk)) << i;
}

}  // namespace cola::testing
