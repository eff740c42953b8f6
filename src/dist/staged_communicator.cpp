#include "dist/staged_communicator.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "core/divide_up.h"
#include "core/error.h"
#include "dist/even_chunk.h"
#include "dist/forwarding_communicator.h"
#include "dist/staging_pipeline.h"

namespace cola {

namespace {

class PendingStaged final : public PendingCollective {
 public:
  PendingStaged(StagingPipeline& pipeline, std::shared_ptr<std::size_t> unfinished)
      : pipeline_(pipeline), unfinished_(std::move(unfinished)) {}
  PendingStaged(const PendingStaged&) = delete;
  PendingStaged& operator=(const PendingStaged&) = delete;
  ~PendingStaged() override {
    try {
      if (std::uncaught_exceptions() == 0) wait();
    } catch (...) {  // the device or another rank failed; that error is what will be reported
    }
    if (*unfinished_ > 0) pipeline_.abandon();
  }

  void wait() override {
    while (*unfinished_ > 0) pipeline_.finish_oldest();
  }
  bool progress() override {
    pipeline_.progress();
    return *unfinished_ == 0;
  }

 private:
  StagingPipeline& pipeline_;
  std::shared_ptr<std::size_t> unfinished_;
};

std::span<float> floats_at(std::byte* slot, std::size_t first, std::size_t count) {
  return {reinterpret_cast<float*>(slot) + first, count};
}

/// `elements` elements from `first` on, in a slot from its element `slot_element` on.
template <typename T>
StagedRange range_of(std::span<T> values, std::size_t first, std::size_t elements, std::size_t slot_element) {
  return {reinterpret_cast<std::byte*>(values.data() + first), slot_element * sizeof(T),
          elements * sizeof(T)};
}

class StagedCommunicator final : public ForwardingCommunicator {
 public:
  /// `host`: a reference, or a pointer that is taken over.
  template <typename Host>
  StagedCommunicator(Device& device, Host&& host, std::size_t slot_bytes)
      : ForwardingCommunicator(std::forward<Host>(host)),
        device_(device),
        pieces_(this->host().split(0)),
        pipeline_(device, std::max(slot_bytes, smallest_slot_bytes())) {}

  std::string transport() const override { return host().transport() + " through host memory"; }
  std::size_t staging_bytes() const override { return 2 * pipeline_.slot_bytes(); }

  std::unique_ptr<PendingCollective> start_reduce_scatter(std::span<float> values,
                                                          std::span<float> sum) override;
  std::unique_ptr<PendingCollective> start_all_reduce(std::span<float> values) override;
  std::unique_ptr<PendingCollective> start_all_gather(std::span<std::byte> bytes) override;

  std::unique_ptr<Communicator> split(int color) override {
    return std::make_unique<StagedCommunicator>(device_, host().split(color), pipeline_.slot_bytes());
  }

 private:
  std::size_t ranks() const { return static_cast<std::size_t>(size()); }
  /// Room for one number of every rank and for their sum.
  std::size_t smallest_slot_bytes() const { return (ranks() + 1) * sizeof(float); }

  /// Cuts `elements` into pieces of at most `longest`; plan(first, count) says what one is.
  template <typename Plan>
  std::unique_ptr<PendingCollective> start(std::size_t elements, std::size_t longest, Plan&& plan) {
    auto unfinished = std::make_shared<std::size_t>(divide_up(elements, longest));
    for (std::size_t first = 0; first < elements; first += longest) {
      StagedPiece piece = plan(first, std::min(longest, elements - first));
      piece.unfinished = unfinished;
      pipeline_.add(std::move(piece));
    }
    return std::make_unique<PendingStaged>(pipeline_, std::move(unfinished));
  }

  Device& device_;
  // Pieces have a communicator of their own: a rank whose device is slow starts them later, perhaps after
  // collectives that other ranks start before.
  std::unique_ptr<Communicator> pieces_;
  StagingPipeline pipeline_;
};

// In a slot: the piece of every rank's chunk, then their sum.
std::unique_ptr<PendingCollective> StagedCommunicator::start_reduce_scatter(std::span<float> values,
                                                                            std::span<float> sum) {
  const std::size_t chunk = even_chunk(values.size(), size(), "a reduce-scatter");
  if (sum.size() != chunk)
    throw Error("a reduce-scatter of chunks of {} into {} elements", chunk, sum.size());
  const std::size_t longest = pipeline_.slot_bytes() / smallest_slot_bytes();
  return start(chunk, longest, [&](std::size_t first, std::size_t count) {
    const std::size_t all = ranks() * count;
    StagedPiece piece;
    for (std::size_t rank = 0; rank < ranks(); ++rank)
      piece.inputs.push_back(range_of(values, rank * chunk + first, count, rank * count));
    piece.results.push_back(range_of(sum, first, count, all));
    piece.start = [this, all, count](std::byte* slot) {
      return pieces_->start_reduce_scatter(floats_at(slot, 0, all), floats_at(slot, all, count));
    };
    return piece;
  });
}

std::unique_ptr<PendingCollective> StagedCommunicator::start_all_reduce(std::span<float> values) {
  const std::size_t longest = pipeline_.slot_bytes() / sizeof(float);
  return start(values.size(), longest, [&](std::size_t first, std::size_t count) {
    StagedPiece piece;
    piece.inputs = piece.results = {range_of(values, first, count, 0)};
    piece.start = [this, count](std::byte* slot) {
      return pieces_->start_all_reduce(floats_at(slot, 0, count));
    };
    return piece;
  });
}

std::unique_ptr<PendingCollective> StagedCommunicator::start_all_gather(std::span<std::byte> bytes) {
  const std::size_t chunk = even_chunk(bytes.size(), size(), "an all-gather");
  const auto own = static_cast<std::size_t>(rank());
  const std::size_t longest = pipeline_.slot_bytes() / ranks();
  return start(chunk, longest, [&](std::size_t first, std::size_t count) {
    StagedPiece piece;
    for (std::size_t rank = 0; rank < ranks(); ++rank)
      (rank == own ? piece.inputs : piece.results)
          .push_back(range_of(bytes, rank * chunk + first, count, rank * count));
    piece.start = [this, all = ranks() * count](std::byte* slot) {
      return pieces_->start_all_gather({slot, all});
    };
    return piece;
  });
}

}  // namespace

std::unique_ptr<Communicator> make_staged_communicator(Device& device, Communicator& host,
                                                       std::size_t slot_bytes) {
  return std::make_unique<StagedCommunicator>(device, host, slot_bytes);
}

}  // namespace cola
