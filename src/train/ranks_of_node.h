// Which ranks share this rank's node.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/host.h"
#include "dist/communicator.h"

namespace cola {

/// The ranks of this rank's node, which is called `host`, itself among them, in order. Collective.
inline std::vector<int> ranks_of_node(Communicator& communicator, const std::string& host = host_name()) {
  const std::vector<std::string> hosts = communicator.all_gather(host);
  std::vector<int> ranks;
  for (std::size_t rank = 0; rank < hosts.size(); ++rank)
    if (hosts[rank] == hosts[static_cast<std::size_t>(communicator.rank())])
      ranks.push_back(static_cast<int>(rank));
  return ranks;
}

/// How many of these ranks write a shard of a checkpoint: the first of all ranks do.
inline std::int64_t writers_among(const std::vector<int>& ranks, int shards) {
  return std::count_if(ranks.begin(), ranks.end(), [&](int rank) { return rank < shards; });
}

}  // namespace cola
