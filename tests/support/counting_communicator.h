// CountingCommunicator: another communicator, with the bytes that a rank sends in collectives on arrays
// counted as rings have it: (N - 1) / N of the data in a reduce-scatter and in an all-gather, both in an
// all-reduce.
#pragma once

#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dist/communicator.h"

namespace cola {

class CountingCommunicator final : public Communicator {
 public:
  explicit CountingCommunicator(Communicator& real) : real_(real) {}

  double sent_bytes() const { return sent_bytes_; }

  int rank() const override { return real_.rank(); }
  int size() const override { return real_.size(); }
  std::string transport() const override { return real_.transport(); }
  void all_reduce(std::span<double> values) override { real_.all_reduce(values); }
  void all_reduce(std::span<std::int64_t> values) override { real_.all_reduce(values); }
  void all_reduce_maximum(std::span<std::int64_t> values) override { real_.all_reduce_maximum(values); }
  void broadcast(std::span<std::byte> bytes, int root) override { real_.broadcast(bytes, root); }
  std::vector<std::string> all_gather(const std::string& text) override { return real_.all_gather(text); }
  void barrier() override { real_.barrier(); }

  std::unique_ptr<PendingCollective> start_reduce_scatter(std::span<float> values,
                                                          std::span<float> sum) override {
    count(values.size_bytes());
    return real_.start_reduce_scatter(values, sum);
  }
  std::unique_ptr<PendingCollective> start_all_reduce(std::span<float> values) override {
    count(2 * values.size_bytes());
    return real_.start_all_reduce(values);
  }
  std::unique_ptr<PendingCollective> start_all_gather(std::span<std::byte> bytes) override {
    count(bytes.size());
    return real_.start_all_gather(bytes);
  }

  std::unique_ptr<Communicator> split(int color) override { return real_.split(color); }
  [[noreturn]] void abort(int exit_code) override { std::_Exit(exit_code); }

 private:
  void count(std::size_t bytes) {
    sent_bytes_ += static_cast<double>(bytes) * static_cast<double>(size() - 1) / static_cast<double>(size());
  }

  Communicator& real_;
  double sent_bytes_ = 0;
};

}  // namespace cola
