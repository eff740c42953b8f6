#include "train/token_data.h"

#include <algorithm>

#include "core/error.h"
#include "io/durable_file.h"
#include "train/agreement.h"

namespace cola {

namespace {

// Throws UsageError on all ranks if any of them has an error: the lowest rank's.
void require_none(Communicator& world, const std::string& error) {
  for (const std::string& told : world.all_gather(error))
    if (!told.empty()) throw UsageError("{}", told);
}

bool is_first_of_its_host(Communicator& world, const std::string& host) {
  const std::vector<std::string> hosts = world.all_gather(host);
  const auto mine = hosts.begin() + world.rank();
  return std::find(hosts.begin(), mine, *mine) == mine;
}

}  // namespace

TokenDataset open_token_data(const std::vector<std::string>& patterns, const RunConfiguration& configuration,
                             Communicator& world, const std::string& host) {
  std::string text;
  on_rank_0(world, [&] { text = to_text(read_token_file_layouts(find_token_files(patterns))); });
  const std::vector<TokenFileLayout> layouts = layouts_from_text(shared_text(world, text));
  // A file that a node does not see must not be missed in the middle of the run.
  const bool looks = is_first_of_its_host(world, host) && world.rank() != 0;
  require_none(world, error_of([&] {
                 for (const TokenFileLayout& layout : layouts)
                   if (looks) FileDescriptor::open_to_read(layout.path);
               }));
  return TokenDataset(layouts, configuration.data.sequence_length, configuration.model.vocab_size);
}

}  // namespace cola
