// The equal chunks, one a rank, that collectives cut memory into.
#pragma once

#include <cstddef>

#include "core/error.h"

namespace cola {

/// Elements of one rank's chunk. Throws Error, which names the operation, unless `elements` divides evenly.
inline std::size_t even_chunk(std::size_t elements, int ranks, const char* operation) {
  if (elements % static_cast<std::size_t>(ranks) != 0)
    throw Error("{} of {} elements over {} ranks is uneven", operation, elements, ranks);
  return elements / static_cast<std::size_t>(ranks);
}

}  // namespace cola
