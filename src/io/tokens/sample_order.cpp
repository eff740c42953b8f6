#include "io/tokens/sample_order.h"

#include <algorithm>
#include <bit>

#include "core/divide_up.h"
#include "core/error.h"
#include "core/philox.h"

namespace cola {

namespace {

constexpr std::int64_t block_bytes = std::int64_t{1} << 20;
constexpr std::uint64_t block_stream = 0, partial_block_stream = 1, first_window_stream = 2;

std::uint64_t random_word(std::uint64_t key, std::uint64_t counter, std::uint64_t stream) {
  const PhiloxBlock words = philox(key, counter, stream);
  return (std::uint64_t{words[1]} << 32) | words[0];
}

/// A pseudo-random bijection of [0, size), computed for one index without a table: a Feistel network over the
/// next even power of two, walked along its cycle until the value falls below `size` (Black and Rogaway,
/// "Ciphers with Arbitrary Finite Domains", 2002).
class Permutation {
 public:
  Permutation(std::uint64_t key, std::int64_t size)
      : key_(key),
        size_(static_cast<std::uint64_t>(size)),
        half_bits_(std::max(1, (static_cast<int>(std::bit_width(size_ - 1)) + 1) / 2)) {}

  std::int64_t operator()(std::int64_t index) const {
    std::uint64_t value = static_cast<std::uint64_t>(index);
    do value = encrypt(value);
    while (value >= size_);
    return static_cast<std::int64_t>(value);
  }

 private:
  std::uint64_t encrypt(std::uint64_t value) const {
    const std::uint64_t mask = (std::uint64_t{1} << half_bits_) - 1;
    std::uint64_t left = value >> half_bits_, right = value & mask;
    for (std::uint64_t round = 0; round < 8; ++round) {
      const std::uint64_t mixed = left ^ (philox(key_, right, round)[0] & mask);
      left = right;
      right = mixed;
    }
    return (left << half_bits_) | right;
  }

  std::uint64_t key_, size_;
  int half_bits_;  // of an index
};

/// One epoch's sequence of slots, each holding one block. All blocks are of one size but the dataset's last,
/// which may be shorter and stands at a random slot.
class Epoch {
 public:
  Epoch(std::uint64_t key, std::int64_t epoch, std::int64_t samples, std::int64_t samples_per_block,
        std::int64_t window_blocks)
      : key_(random_word(key, static_cast<std::uint64_t>(epoch), 0)),
        size_(samples_per_block),
        window_blocks_(window_blocks),
        full_blocks_(samples / samples_per_block),
        missing_((size_ - samples % size_) % size_),
        slots_(full_blocks_ + (missing_ > 0 ? 1 : 0)),
        partial_slot_(missing_ > 0 ? random_slot() : slots_) {}

  std::int64_t sample_at(std::int64_t index) const {
    const std::int64_t window = slot_of(index) / window_blocks_;
    const std::int64_t begin = first_index(window * window_blocks_);
    const std::int64_t end = first_index(std::min((window + 1) * window_blocks_, slots_));
    const Permutation inside(stream_key(first_window_stream + static_cast<std::uint64_t>(window)),
                             end - begin);
    const std::int64_t shuffled = begin + inside(index - begin);
    const std::int64_t slot = slot_of(shuffled);
    return block_at(slot) * size_ + (shuffled - first_index(slot));
  }

 private:
  std::uint64_t stream_key(std::uint64_t stream) const { return random_word(key_, 0, stream); }
  std::int64_t random_slot() const {
    return static_cast<std::int64_t>(stream_key(partial_block_stream) % static_cast<std::uint64_t>(slots_));
  }
  std::int64_t first_index(std::int64_t slot) const {
    return slot * size_ - (slot > partial_slot_ ? missing_ : 0);
  }
  std::int64_t slot_of(std::int64_t index) const {
    const bool behind_partial = index >= first_index(partial_slot_) + size_ - missing_;
    return (index + (behind_partial ? missing_ : 0)) / size_;
  }
  std::int64_t block_at(std::int64_t slot) const {
    if (slot == partial_slot_) return full_blocks_;
    return Permutation(stream_key(block_stream), full_blocks_)(slot > partial_slot_ ? slot - 1 : slot);
  }

  std::uint64_t key_;
  std::int64_t size_, window_blocks_, full_blocks_;
  std::int64_t missing_;  // samples that the last block lacks
  std::int64_t slots_, partial_slot_;
};

// A run over one corpus keeps the order that it had before there were others.
std::uint64_t key_of(std::uint64_t seed, std::size_t corpus) {
  return philox_key(seed, corpus == 0 ? "sample order" : fmt::format("sample order {}", corpus));
}

}  // namespace

std::int64_t window_blocks_of(std::size_t corpora) {
  return std::clamp<std::int64_t>(64 / static_cast<std::int64_t>(corpora), 2, 16);
}

SampleOrder::SampleOrder(std::uint64_t seed, std::int64_t samples, std::int64_t sample_bytes,
                         std::size_t corpus, std::int64_t window_blocks)
    : key_(key_of(seed, corpus)), samples_(samples), window_blocks_(window_blocks) {
  if (samples < 1 || sample_bytes < 1)
    throw UsageError("no samples to put into an order ({} samples of {} bytes)", samples, sample_bytes);
  samples_per_block_ = divide_up(block_bytes, sample_bytes);
}

std::int64_t SampleOrder::at(std::int64_t position) const {
  const Epoch epoch(key_, position / samples_, samples_, samples_per_block_, window_blocks_);
  return epoch.sample_at(position % samples_);
}

}  // namespace cola
