#include "dist/watched_communicator.h"

#include <utility>

#include "dist/forwarding_communicator.h"

namespace cola {

namespace {

class PendingWatched final : public PendingCollective {
 public:
  PendingWatched(std::unique_ptr<PendingCollective> inner, Watchdog& watchdog, const char* operation)
      : inner_(std::move(inner)), watchdog_(watchdog), operation_(operation) {}
  PendingWatched(const PendingWatched&) = delete;
  PendingWatched& operator=(const PendingWatched&) = delete;
  ~PendingWatched() override {
    const Watchdog::Inside inside(watchdog_, operation_);
    inner_.reset();
  }

  void wait() override {
    const Watchdog::Inside inside(watchdog_, operation_);
    inner_->wait();
  }
  bool progress() override { return inner_->progress(); }

 private:
  std::unique_ptr<PendingCollective> inner_;
  Watchdog& watchdog_;
  const char* operation_;
};

class WatchedCommunicator final : public ForwardingCommunicator {
 public:
  WatchedCommunicator(std::unique_ptr<Communicator> inner, Watchdog& watchdog)
      : ForwardingCommunicator(std::move(inner)), watchdog_(watchdog) {}

  double waited_seconds() const override { return watchdog_.seconds_inside(); }

  void all_reduce(std::span<double> values) override {
    const Watchdog::Inside inside(watchdog_, "a sum over ranks");
    host().all_reduce(values);
  }
  void all_reduce_maximum(std::span<std::int64_t> values) override {
    const Watchdog::Inside inside(watchdog_, "a maximum over ranks");
    host().all_reduce_maximum(values);
  }
  void broadcast(std::span<std::byte> bytes, int root) override {
    const Watchdog::Inside inside(watchdog_, "a broadcast");
    host().broadcast(bytes, root);
  }
  std::vector<std::string> all_gather(const std::string& text) override {
    const Watchdog::Inside inside(watchdog_, "an exchange of texts");
    return host().all_gather(text);
  }
  void barrier() override {
    const Watchdog::Inside inside(watchdog_, "a barrier");
    host().barrier();
  }

  std::unique_ptr<PendingCollective> start_reduce_scatter(std::span<float> values,
                                                          std::span<float> sum) override {
    return watch(host().start_reduce_scatter(values, sum), "the reduce-scatter of gradients");
  }
  std::unique_ptr<PendingCollective> start_all_reduce(std::span<float> values) override {
    return watch(host().start_all_reduce(values), "the all-reduce of gradients");
  }
  std::unique_ptr<PendingCollective> start_all_gather(std::span<std::byte> bytes) override {
    return watch(host().start_all_gather(bytes), "the all-gather of weights");
  }
  std::unique_ptr<Communicator> split(int color) override {
    const Watchdog::Inside inside(watchdog_, "a split of ranks");
    return make_watched_communicator(host().split(color), watchdog_);
  }

 private:
  std::unique_ptr<PendingCollective> watch(std::unique_ptr<PendingCollective> pending,
                                           const char* operation) {
    return std::make_unique<PendingWatched>(std::move(pending), watchdog_, operation);
  }

  Watchdog& watchdog_;
};

}  // namespace

std::unique_ptr<Communicator> make_watched_communicator(std::unique_ptr<Communicator> inner,
                                                        Watchdog& watchdog) {
  return std::make_unique<WatchedCommunicator>(std::move(inner), watchdog);
}

}  // namespace cola
