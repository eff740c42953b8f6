// CountingCommunicator: another communicator, with the bytes that a rank sends in collectives on tensors
// counted as rings have it: (N - 1) / N of the data in a reduce-scatter and in an all-gather, both in an
// all-reduce.
#pragma once

#include <memory>
#include <span>

#include "dist/forwarding_communicator.h"

namespace cola {

class CountingCommunicator final : public ForwardingCommunicator {
 public:
  explicit CountingCommunicator(Communicator& real) : ForwardingCommunicator(real) {}

  double sent_bytes() const { return sent_bytes_; }

  std::unique_ptr<PendingCollective> start_reduce_scatter(std::span<float> values,
                                                          std::span<float> sum) override {
    count(values.size_bytes());
    return host().start_reduce_scatter(values, sum);
  }
  std::unique_ptr<PendingCollective> start_all_reduce(std::span<float> values) override {
    count(2 * values.size_bytes());
    return host().start_all_reduce(values);
  }
  std::unique_ptr<PendingCollective> start_all_gather(std::span<std::byte> bytes) override {
    count(bytes.size());
    return host().start_all_gather(bytes);
  }
  std::unique_ptr<Communicator> split(int color) override { return host().split(color); }

 private:
  void count(std::size_t bytes) {
    sent_bytes_ += static_cast<double>(bytes) * static_cast<double>(size() - 1) / static_cast<double>(size());
  }

  double sent_bytes_ = 0;
};

}  // namespace cola
