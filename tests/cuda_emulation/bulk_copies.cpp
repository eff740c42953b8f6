#include "bulk_copies.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "block_runner.h"
#include "emulated_gpu.h"
#include "emulation_error.h"
#include "warp_group_operations.h"

namespace cola::emulation {

namespace {

constexpr std::size_t piece_bytes = 16;  // that no swizzle takes apart
constexpr std::uint32_t place_alignment = 128;

SharedMemory& shared_memory() {
  return EmulatedGpu::instance().runner().shared_memory();
}

unsigned char* in_array(std::uint64_t address, std::size_t bytes) {
  auto* const memory = reinterpret_cast<unsigned char*>(address);
  if (bytes > 0 && !EmulatedGpu::instance().memory().holds(memory, bytes))
    throw EmulationError("a bulk copy of {}, which is not within one array of device memory",
                         static_cast<const void*>(memory));
  return memory;
}

}  // namespace

// Calls move(shared memory, global memory, bytes inside the array) for 16 bytes of shared memory after
// others.
template <typename MovePiece>
void BoxCopy::for_each_piece(MovePiece&& move) const {
  const std::size_t rows = map.box_bytes() / map.row_bytes();
  for (std::size_t row = 0; row < rows; ++row) {
    std::uint64_t address = map.address;
    bool inside = true;
    std::size_t rest = row;
    for (unsigned i = 1; i < map.dimensions; ++i) {
      const std::int64_t index = corner[i] + static_cast<std::int64_t>(rest % map.box[i]);
      rest /= map.box[i];
      inside = inside && index >= 0 && index < static_cast<std::int64_t>(map.sizes[i]);
      address += static_cast<std::uint64_t>(index) * map.strides[i - 1];
    }
    const std::int64_t element = map.element_bytes;
    const std::int64_t first = corner[0] * element;
    const std::int64_t row_end = static_cast<std::int64_t>(map.sizes[0]) * element;
    if (first < 0) throw EmulationError("a bulk copy that begins left of its array is not emulated");
    const std::int64_t valid =
        inside ? std::clamp<std::int64_t>(row_end - first, 0, static_cast<std::int64_t>(map.row_bytes())) : 0;
    unsigned char* const global =
        in_array(address + static_cast<std::uint64_t>(first), static_cast<std::size_t>(valid));
    for (std::size_t at = 0; at < map.row_bytes(); at += piece_bytes) {
      const auto offset = static_cast<std::uint32_t>(row * map.row_bytes() + at);
      void* const place = shared_pointer("a bulk copy", map.place_in_box(shared, offset), piece_bytes);
      const std::size_t left =
          static_cast<std::size_t>(valid) > at ? static_cast<std::size_t>(valid) - at : 0;
      move(place, global + at, std::min(left, piece_bytes));
    }
  }
}

void BoxCopy::load() const {
  for_each_piece([](void* place, const unsigned char* global, std::size_t valid) {
    unsigned char piece[piece_bytes] = {};
    std::memcpy(piece, global, valid);
    shared_memory().write_shown(place, piece, piece_bytes);
  });
}

std::vector<unsigned char> BoxCopy::read() const {
  std::vector<unsigned char> bytes;
  bytes.reserve(map.box_bytes());
  for_each_piece([&](const void* place, const unsigned char*, std::size_t) {
    const auto* const first = static_cast<const unsigned char*>(place);
    bytes.insert(bytes.end(), first, first + piece_bytes);
  });
  return bytes;
}

void BoxCopy::store(const std::vector<unsigned char>& bytes) const {
  const unsigned char* piece = bytes.data();
  for_each_piece([&](const void*, unsigned char* global, std::size_t valid) {
    std::memcpy(global, piece, valid);
    piece += piece_bytes;
  });
}

void BoxCopy::check_place() const {
  if (shared % place_alignment != 0)
    throw EmulationError("a bulk copy at {:#x} of shared memory, which is not aligned to 128 bytes", shared);
  if (map.swizzle_bytes != 0 && map.row_bytes() != map.swizzle_bytes)
    throw EmulationError("a box of {} bytes a row swizzled by {} is not emulated", map.row_bytes(),
                         map.swizzle_bytes);
}

void BoxCopy::check_shown() const {
  for_each_piece([](const void* place, const unsigned char*, std::size_t) {
    shared_memory().check_shown(place, piece_bytes);
  });
}

void BoxCopy::spoil_target() const {
  for_each_piece([](void* place, const unsigned char*, std::size_t) {
    unsigned char nothing[piece_bytes];
    std::memset(nothing, 0xff, piece_bytes);
    shared_memory().write_shown(place, nothing, piece_bytes);
  });
}

void BulkStores::close() {
  closed_.push_back({std::exchange(open_, {}), false});
}

void BulkStores::wait_for_reading(std::size_t newest) {
  for (std::size_t i = 0; i + newest < closed_.size(); ++i) {
    if (std::exchange(closed_[i].has_read, true)) continue;
    for (const Store& store : closed_[i].stores)
      if (store.copy.read() != store.bytes)
        throw EmulationError(
            "shared memory that a bulk copy reads was written to after its start and before the wait for it");
  }
}

void BulkStores::wait(std::size_t newest) {
  wait_for_reading(newest);
  for (; closed_.size() > newest; closed_.pop_front())
    for (const Store& store : closed_.front().stores) store.copy.store(store.bytes);
}

bool BulkStores::reading() const {
  return !open_.empty() ||
         std::any_of(closed_.begin(), closed_.end(), [](const Group& group) { return !group.has_read; });
}

void BulkStores::clear() {
  open_.clear();
  closed_.clear();
}

}  // namespace cola::emulation
