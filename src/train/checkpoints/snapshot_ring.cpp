#include "train/checkpoints/snapshot_ring.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/divide_up.h"
#include "core/error.h"
#include "core/fault_point.h"
#include "io/checkpoints/manifest.h"

namespace cola {

namespace {

constexpr auto tensors_of_state = static_cast<std::int64_t>(all_state_tensors.size());
// A whole tensor travels in so many pieces: the first is being written while the last are being copied.
constexpr std::int64_t pieces_of_tensor = 6;
// Slots end on pages.
constexpr std::int64_t slot_granularity = 1024;
// A ring that is smaller than the state has at least so many slots, and pieces that are worth a disk's while.
constexpr std::int64_t fewest_slots = 4;
constexpr std::int64_t smallest_piece = std::int64_t{4} << 18;  // elements: 4 MiB

// Enough for copying and writing to go on at the same time.
constexpr double synchronous_gibibytes = 0.0625;

constexpr double gibibyte = 1024.0 * 1024.0 * 1024.0;

}  // namespace

RingLayout ring_layout(const CheckpointSection& options, std::int64_t shard_elements) {
  const double gibibytes = options.async || options.ring_gib > 0 ? options.ring_gib : synchronous_gibibytes;
  const std::int64_t piece =
      divide_up(divide_up(shard_elements, pieces_of_tensor), slot_granularity) * slot_granularity;
  const RingLayout whole{tensors_of_state * divide_up(shard_elements, piece), piece};
  const double bytes = gibibytes * gibibyte;
  if (gibibytes == 0 || bytes >= static_cast<double>(whole.bytes())) return whole;
  const auto most_elements = static_cast<std::int64_t>(bytes / sizeof(float));
  const std::int64_t slot =
      std::min(piece, most_elements / fewest_slots / slot_granularity * slot_granularity);
  if (slot < std::min(piece, smallest_piece))
    throw UsageError(
        "checkpoint.ring_gib: {} GiB is too small a ring: a rank's state takes {:.3f} GiB, and less of it "
        "than {} MiB is of no use (0: as much as the state takes)",
        gibibytes, static_cast<double>(whole.bytes()) / gibibyte,
        fewest_slots * smallest_piece * static_cast<std::int64_t>(sizeof(float)) >> 20);
  return {most_elements / slot, slot};
}

SnapshotRing::SnapshotRing(Device& device, RingLayout layout)
    : device_(device),
      layout_(layout),
      memory_(static_cast<float*>(device.allocate_host(layout.bytes())), HostMemory{&device}),
      pieces_(static_cast<std::size_t>(layout.slots)) {
  std::memset(memory_.get(), 0, layout.bytes());  // pages are made now, not while training waits
}

std::span<float> SnapshotRing::slot(std::int64_t piece) const {
  return {memory_.get() + piece % layout_.slots * layout_.slot_elements,
          static_cast<std::size_t>(layout_.slot_elements)};
}

void SnapshotRing::start(std::vector<Tensor> tensors) {
  const std::lock_guard lock(mutex_);
  for (Piece& piece : pieces_)
    piece.copy.reset();  // those of an abandoned snapshot end before their slots are used again
  tensors_ = std::move(tensors);
  tensor_ = 0;
  element_ = started_ = taken_ = given_back_ = 0;
  abandoned_ = false;
  start_copies();
}

void SnapshotRing::start_copies() {
  for (; !all_started() && started_ - given_back_ < layout_.slots; ++started_) {
    fault_point("snapshot");
    const Tensor& tensor = tensors_[tensor_];
    Piece& piece = pieces_[static_cast<std::size_t>(started_ % layout_.slots)];
    piece.elements = std::min(layout_.slot_elements, tensor.elements() - element_);
    const Tensor source = tensor.view(element_, {piece.elements});
    piece.copy = device_.start_copy_to_host(slot(started_).data(), source.data(), source.bytes());
    element_ += piece.elements;
    if (element_ < tensor.elements()) continue;
    ++tensor_;
    element_ = 0;
  }
  changed_.notify_all();
}

void SnapshotRing::advance() {
  const std::lock_guard lock(mutex_);
  start_copies();
}

void SnapshotRing::finish() {
  while (!finishes_within(std::chrono::hours(1))) continue;
}

bool SnapshotRing::finishes_within(std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  std::vector<std::shared_ptr<PendingCopy>> under_way;
  {
    std::unique_lock lock(mutex_);
    for (start_copies(); !all_started(); start_copies())
      if (!changed_.wait_until(lock, end, [&] { return has_room(); })) return false;
    for (const Piece& piece : pieces_)
      if (piece.copy) under_way.push_back(piece.copy);
  }
  // On the host: a GPU that was told to wait would do so later, unseen by who measures what this takes. It
  // has nothing else to do meanwhile, since the kernels that follow are the ones to be held back.
  for (const auto& copy : under_way) copy->wait();
  return true;
}

std::span<const float> SnapshotRing::take() {
  std::shared_ptr<PendingCopy> copy;
  std::span<const float> values;
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return taken_ < started_ || all_started(); });
    if (taken_ == started_ || abandoned_) return {};
    const Piece& piece = pieces_[static_cast<std::size_t>(taken_ % layout_.slots)];
    copy = piece.copy;
    values = slot(taken_).first(static_cast<std::size_t>(piece.elements));
    ++taken_;
  }
  copy->wait();
  return values;
}

void SnapshotRing::give_back() {
  const std::lock_guard lock(mutex_);
  pieces_[static_cast<std::size_t>(given_back_ % layout_.slots)].copy.reset();
  ++given_back_;
  changed_.notify_all();
}

void SnapshotRing::abandon() {
  const std::lock_guard lock(mutex_);
  abandoned_ = true;
  changed_.notify_all();
}

}  // namespace cola
