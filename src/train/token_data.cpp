#include "train/token_data.h"

#include <algorithm>
#include <exception>

#include "core/error.h"
#include "core/host.h"
#include "io/durable_file.h"

namespace cola {

namespace {

// Runs `action` and returns its error as text, empty if there was none.
template <typename Action>
std::string error_of(Action&& action) {
  try {
    action();
    return {};
  } catch (const std::exception& error) {
    return error.what();
  }
}

// Throws UsageError on all ranks if any of them has an error: the lowest rank's.
void require_none(Communicator& world, const std::string& error) {
  for (const std::string& told : world.all_gather(error))
    if (!told.empty()) throw UsageError("{}", told);
}

bool is_first_of_its_host(Communicator& world) {
  const std::vector<std::string> hosts = world.all_gather(host_name());
  const auto mine = hosts.begin() + world.rank();
  return std::find(hosts.begin(), mine, *mine) == mine;
}

}  // namespace

TokenDataset open_token_data(const std::vector<std::string>& patterns, const RunConfiguration& configuration,
                             Communicator& world) {
  std::string text;
  require_none(world, error_of([&] {
                 if (world.rank() == 0) text = to_text(read_token_file_layouts(find_token_files(patterns)));
               }));
  const std::vector<TokenFileLayout> layouts = layouts_from_text(world.all_gather(text).front());
  // A file that a node does not see must not be missed in the middle of the run.
  const bool looks = is_first_of_its_host(world) && world.rank() != 0;
  require_none(world, error_of([&] {
                 for (const TokenFileLayout& layout : layouts)
                   if (looks) FileDescriptor::open_to_read(layout.path);
               }));
  return TokenDataset(layouts, configuration.data.sequence_length, configuration.model.vocab_size);
}

}  // namespace cola
