#include "dist/staging_pipeline.h"

#include <algorithm>
#include <utility>

#include "core/error.h"

namespace cola {

StagingPipeline::StagingPipeline(Device& device, std::size_t slot_bytes)
    : device_(device), slot_bytes_(slot_bytes), slots_{make_slot(), make_slot()} {}

StagingPipeline::Slot StagingPipeline::make_slot() {
  return Slot(static_cast<std::byte*>(device_.allocate_host(slot_bytes_)), HostMemoryDeleter{&device_});
}

void StagingPipeline::add(StagedPiece piece) {
  if (!slots_.front()) throw Error("the collectives of this rank were given up after an error");
  pieces_.push_back({std::move(piece), nullptr, {}, nullptr});
  fill_free_slots();
}

std::size_t StagingPipeline::pieces_in_slots() const {
  return std::min(pieces_.size(), slots_.size());
}

// Pieces take the slots in turns, and the oldest leaves first: the next slot is free whenever fewer pieces
// than slots are ahead.
void StagingPipeline::fill_free_slots() {
  for (std::size_t index = 0; index < pieces_in_slots(); ++index) {
    Piece& piece = pieces_[index];
    if (piece.slot) continue;
    piece.slot = slots_[next_slot_].get();
    next_slot_ = (next_slot_ + 1) % slots_.size();
    for (const StagedRange& input : piece.plan.inputs)
      piece.copies.push_back(
          device_.start_copy_to_host(piece.slot + input.slot_offset, input.device, input.bytes));
  }
}

void StagingPipeline::start(Piece& piece) {
  for (const auto& copy : piece.copies) copy->wait();
  piece.copies.clear();
  piece.collective = piece.plan.start(piece.slot);
}

void StagingPipeline::progress() {
  for (std::size_t index = 0; index < pieces_in_slots(); ++index) {
    Piece& piece = pieces_[index];
    if (piece.collective) continue;
    const auto is_done = [](const auto& copy) { return copy->done(); };
    if (!std::all_of(piece.copies.begin(), piece.copies.end(), is_done)) break;
    start(piece);
  }
  if (!pieces_.empty() && pieces_.front().collective && pieces_.front().collective->progress())
    finish_oldest();
}

void StagingPipeline::finish_oldest() {
  for (std::size_t index = 0; index < pieces_in_slots(); ++index)
    if (!pieces_[index].collective) start(pieces_[index]);
  const Piece& oldest = pieces_.front();
  oldest.collective->wait();
  for (const StagedRange& result : oldest.plan.results)
    device_.copy_from_host(result.device, oldest.slot + result.slot_offset, result.bytes);
  --*oldest.plan.unfinished;
  pieces_.pop_front();
  fill_free_slots();
}

void StagingPipeline::abandon() noexcept {
  for (Piece& piece : pieces_) {
    *piece.plan.unfinished = 0;
    static_cast<void>(piece.collective.release());
  }
  for (Slot& slot : slots_) static_cast<void>(slot.release());
  pieces_.clear();
}

}  // namespace cola
