#include "warp_group_operations.h"

#include <bit>
#include <cstring>
#include <limits>
#include <utility>

#include "block_runner.h"
#include "emulated_gpu.h"
#include "emulation_error.h"

namespace cola::emulation {

namespace {

float bfloat16_value(std::uint16_t bits) {
  return std::bit_cast<float>(std::uint32_t{bits} << 16);
}

// "Matrix Descriptor Format": offsets and addresses count 16 bytes.
struct Descriptor {
  std::uint32_t start, leading, stride;

  explicit Descriptor(std::uint64_t bits)
      : start(static_cast<std::uint32_t>(bits & 0x3fff) << 4),
        leading(static_cast<std::uint32_t>(bits >> 16 & 0x3fff) << 4),
        stride(static_cast<std::uint32_t>(bits >> 32 & 0x3fff) << 4) {
    if (bits >> 62 != 1) throw EmulationError("a matrix descriptor without the 128-byte swizzle");
    if ((bits >> 49 & 7) != 0) throw EmulationError("a matrix descriptor with a base offset");
  }

  // "Strides": of an operand's element at `place` of its 64 rows (or columns) and `deep` of its depth.
  // Without transposition the depth runs along 128-byte rows, of which eight make an atom, `stride` from one
  // to the next. With it 64 rows (or columns) lie along a 128-byte row, and the atom is eight deep.
  std::uint32_t address(unsigned place, unsigned deep, bool transposed) const {
    const std::uint32_t linear =
        transposed ? start + place / 64 * leading + place % 64 * 2 + deep / 8 * stride + deep % 8 * 128
                   : start + place / 8 * stride + place % 8 * 128 + deep * 2;
    return linear ^ (linear >> 7 & 7) << 4;
  }
};

// Eight elements that lie side by side: along the depth, or with transposition along the rows (or columns).
void read_eight(const Descriptor& descriptor, unsigned place, unsigned deep, bool transposed,
                const void* code_place, float (&values)[8]) {
  std::uint16_t bits[8];
  std::memcpy(bits, shared_memory_at(descriptor.address(place, deep, transposed), sizeof(bits), code_place),
              sizeof(bits));
  for (unsigned i = 0; i < 8; ++i) values[i] = bfloat16_value(bits[i]);
}

// Calls set(place, deep, value) for all elements of an operand.
template <typename Set>
void read_operand(const Descriptor& descriptor, unsigned places, unsigned depth, bool transposed,
                  const void* code_place, Set&& set) {
  float values[8];
  for (unsigned place = 0; place < places; place += transposed ? 8 : 1)
    for (unsigned deep = 0; deep < depth; deep += transposed ? 1 : 8) {
      read_eight(descriptor, place, deep, transposed, code_place, values);
      for (unsigned i = 0; i < 8; ++i)
        set(place + (transposed ? i : 0), deep + (transposed ? 0 : i), values[i]);
    }
}

// "Register Fragments for wgmma.mma_async.m64nNk16": as those of mma.m16n8k16, tile after tile.
float left_element(const GroupProductOperand& lane, unsigned i) {
  const std::uint32_t pair = lane.left[i / 2];
  return bfloat16_value(static_cast<std::uint16_t>(i % 2 == 0 ? pair & 0xffff : pair >> 16));
}

}  // namespace

// Bits 7 to 9 of an address decide about the swizzle: they are those of the memory itself.
std::uint32_t shared_address(const void* memory) {
  const auto base = reinterpret_cast<std::uintptr_t>(dynamic_shared_memory());
  return static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(memory) - base + base % 1024);
}
void* shared_pointer(const char* what, std::uint32_t address, std::size_t bytes) {
  const auto base = reinterpret_cast<std::uintptr_t>(dynamic_shared_memory());
  void* const memory = reinterpret_cast<void*>(base - base % 1024 + address);
  check_shared(what, memory, bytes);
  return memory;
}
const void* shared_memory_at(std::uint32_t address, std::size_t bytes, const void* place) {
  const void* const memory = shared_pointer("a product", address, bytes);
  EmulatedGpu::instance().runner().shared_memory().check_shown(memory, bytes);
  if (place) note_access(memory, bytes, Access::read, place);
  return memory;
}

void GroupProducts::start(const Operands& lanes, unsigned first_row) {
  if (!prepared_) throw EmulationError("a product without wgmma.fence since the last wait");
  Product product;
  product.first_row = first_row;
  for (void* const lane : lanes) product.lanes.push_back(*static_cast<GroupProductOperand*>(lane));
  const GroupProductOperand& first = product.lanes.front();
  for (const GroupProductOperand& lane : product.lanes)
    if (lane.right_descriptor != first.right_descriptor || lane.accumulate != first.accumulate ||
        lane.columns != first.columns || (!lane.left && lane.left_descriptor != first.left_descriptor))
      throw EmulationError("lanes start products of different operands");
  const auto same_sums = [&](const Product& other) { return other.lanes.front().sums == first.sums; };
  bool known = std::any_of(open_.begin(), open_.end(), same_sums);
  for (const auto& batch : closed_) known = known || std::any_of(batch.begin(), batch.end(), same_sums);
  if (!known)
    for (const GroupProductOperand& lane : product.lanes)
      for (unsigned i = 0; i < lane.columns / 2; ++i)
        product.sums.push_back(std::exchange(lane.sums[i], std::numeric_limits<float>::quiet_NaN()));
  if (accesses_are_observed && first.place) {
    float left[warp_rows][depth], right[depth][most_columns];
    read_operands(product, left, right);  // as early as a GPU may; the values count at the wait
  }
  open_.push_back(std::move(product));
}

void GroupProducts::close() {
  closed_.push_back(std::move(open_));
  open_.clear();
}

void GroupProducts::wait(std::size_t newest) {
  for (; closed_.size() > newest; closed_.pop_front())
    for (const Product& product : closed_.front()) finish(product);
  prepared_ = false;
}

void GroupProducts::clear() {
  prepared_ = false;
  open_.clear();
  closed_.clear();
}

// What the warp multiplies. A warp needs 16 rows of the left operand; that it reads no others is not said.
void GroupProducts::read_operands(const Product& product, float (&left)[warp_rows][depth],
                                  float (&right)[depth][most_columns]) {
  const GroupProductOperand& first = product.lanes.front();
  read_operand(Descriptor(first.right_descriptor), first.columns, depth, first.right_down_columns,
               first.place, [&](unsigned column, unsigned k, float value) { right[k][column] = value; });
  for (unsigned lane = 0; lane < warp_lanes && first.left; ++lane)
    for (unsigned i = 0; i < 8; ++i)
      left[lane / 4 + i / 2 % 2 * 8][2 * (lane % 4) + i % 2 + i / 4 * 8] =
          left_element(product.lanes[lane], i);
  if (first.left) return;
  read_operand(Descriptor(first.left_descriptor), rows, depth, first.left_down_columns, first.place,
               [&](unsigned row, unsigned k, float value) {
                 if (row / warp_rows == product.first_row / warp_rows) left[row % warp_rows][k] = value;
               });
}

void GroupProducts::finish(const Product& product) {
  const GroupProductOperand& first = product.lanes.front();
  float left[warp_rows][depth], right[depth][most_columns];
  read_operands(product, left, right);
  float products[warp_rows][most_columns] = {};
  for (unsigned row = 0; row < warp_rows; ++row)
    for (unsigned k = 0; k < depth; ++k)
      for (unsigned column = 0; column < first.columns; ++column)
        products[row][column] += left[row][k] * right[k][column];
  for (unsigned lane = 0; lane < warp_lanes; ++lane)
    for (unsigned i = 0; i < first.columns / 2; ++i) {
      float& sum = product.lanes[lane].sums[i];
      if (!product.sums.empty()) sum = product.sums[lane * (first.columns / 2) + i];
      const float more = products[lane / 4 + i / 2 % 2 * 8][i / 4 * 8 + 2 * (lane % 4) + i % 2];
      sum = first.accumulate ? sum + more : more;
    }
}

}  // namespace cola::emulation
