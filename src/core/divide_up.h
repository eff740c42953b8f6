// Division that rounds up: how many parts it takes to hold everything.
#pragma once

#include <cstdint>

namespace cola {

/// ceil(count / divisor) of a count that is not negative.
constexpr std::int64_t divide_up(std::int64_t count, std::int64_t divisor) {
  return (count + divisor - 1) / divisor;
}

}  // namespace cola
