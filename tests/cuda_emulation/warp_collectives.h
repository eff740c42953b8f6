// The warp collectives of CUDA as exchanges among the lanes of an emulated warp.
#pragma once

#include <type_traits>

#include "block.h"

namespace cola::emulation {

/// A value from the lane that `Source` names: Source()(lane, parameter), or the own value if there is none.
template <typename Source, typename T>
T shuffle(const char* name, unsigned mask, T value, int parameter, int width, const Site& site) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);
  struct Operand {
    T value;
    int parameter, width;
    T result;
  } operand{value, parameter, width, value};
  const auto exchange = [](const Operands& lanes) {
    for (unsigned lane = 0; lane < warp_lanes; ++lane) {
      auto& mine = *static_cast<Operand*>(lanes[lane]);
      const int first = static_cast<int>(lane) / mine.width * mine.width;
      const int source = Source()(static_cast<int>(lane), mine.parameter, first, mine.width);
      if (source >= first && source < first + mine.width)
        mine.result = static_cast<Operand*>(lanes[static_cast<unsigned>(source)])->value;
    }
  };
  join_warp(name, mask, exchange, &operand, site);
  return operand.result;
}

struct ExclusiveOr {
  int operator()(int lane, int parameter, int, int) const { return lane ^ parameter; }
};
struct Below {
  int operator()(int lane, int parameter, int, int) const { return lane - parameter; }
};
struct Above {
  int operator()(int lane, int parameter, int, int) const { return lane + parameter; }
};
struct Given {
  int operator()(int, int parameter, int first, int width) const { return first + parameter % width; }
};

/// Bit i is lane i's predicate.
inline unsigned ballot(unsigned mask, bool predicate, const Site& site) {
  struct Operand {
    bool predicate;
    unsigned result;
  } operand{predicate, 0};
  const auto gather = [](const Operands& lanes) {
    unsigned bits = 0;
    for (unsigned lane = 0; lane < warp_lanes; ++lane)
      bits |= static_cast<unsigned>(static_cast<Operand*>(lanes[lane])->predicate) << lane;
    for (void* lane : lanes) static_cast<Operand*>(lane)->result = bits;
  };
  join_warp("__ballot_sync", mask, gather, &operand, site);
  return operand.result;
}

}  // namespace cola::emulation
