#include "train/token_data.h"

#include <algorithm>

#include "core/error.h"
#include "core/log.h"
#include "io/checksum.h"
#include "io/durable_file.h"
#include "train/agreement.h"
#include "train/data_files.h"

namespace cola {

namespace {

bool is_first_of_its_host(Communicator& world, const std::string& host) {
  const std::vector<std::string> hosts = world.all_gather(host);
  const auto mine = hosts.begin() + world.rank();
  return std::find(hosts.begin(), mine, *mine) == mine;
}

std::vector<TokenFileLayout> find_layouts(const char* key, const std::vector<std::string>& patterns,
                                          Communicator& world, const std::string& host = host_name()) {
  std::string text;
  on_rank_0(world, [&] { text = to_text(read_token_file_layouts(require_data_files(key, patterns))); });
  const std::vector<TokenFileLayout> layouts = layouts_from_text(shared_text(world, text));
  // A file that a node does not see must not be missed in the middle of the run.
  const bool looks = is_first_of_its_host(world, host);
  const std::string error = error_of([&] {
    for (const TokenFileLayout& layout : layouts)
      if (looks && world.rank() != 0) FileDescriptor::open_to_read(layout.path);  // rank 0 has read them
  });
  require_none(world, error, looks);
  return layouts;
}

TokenDataset make_dataset(const std::vector<TokenFileLayout>& layouts,
                          const RunConfiguration& configuration) {
  return TokenDataset(layouts, configuration.data.sequence_length, configuration.model.vocab_size);
}

// A loss over ids of another tokenizer says nothing.
void require_one_tokenizer(const TokenFileLayout& training, const TokenFileLayout& validation) {
  const TokenFileAttributes &a = training.attributes, &b = validation.attributes;
  if (!a.have_ids_of(b))
    throw UsageError(
        "data.validation: {} has tokenizer '{}' ({} ids), but {} of data.train has '{}' ({} ids)",
        validation.path, b.tokenizer, b.vocab_size, training.path, a.tokenizer, a.vocab_size);
}

std::vector<std::string> paths_of(const std::vector<TokenFileLayout>& layouts) {
  std::vector<std::string> paths;
  for (const TokenFileLayout& layout : layouts) paths.push_back(layout.path);
  return paths;
}

void warn_of_shared_file(const std::vector<TokenFileLayout>& training,
                         const std::vector<TokenFileLayout>& validation) {
  const std::string shared = find_shared_file(paths_of(training), paths_of(validation));
  if (!shared.empty())
    warning("{} is both in data.train and in data.validation, whose loss will be that of text already seen",
            shared);
}

// Folders are left out: data may be moved.
DataRecord record_of(const std::vector<TokenFileLayout>& layouts, const TokenDataset& data) {
  std::string sizes;
  for (const TokenFileLayout& layout : layouts)
    sizes += fmt::format("{} {} {}\n", last_name(layout.path), layout.tokens.size, layout.documents.size);
  return {data.files(), data.tokens(), data.samples(), layouts.front().attributes.tokenizer,
          checksum_of(sizes)};
}

}  // namespace

TokenDataset open_token_data(const char* key, const std::vector<std::string>& patterns,
                             const RunConfiguration& configuration, Communicator& world,
                             const std::string& host) {
  return make_dataset(find_layouts(key, patterns, world, host), configuration);
}

RunData open_run_data(const RunConfiguration& configuration, Communicator& world) {
  const DataSection& files = configuration.data;
  const std::vector<TokenFileLayout> training = find_layouts("data.train", files.train, world);
  const std::vector<TokenFileLayout> validation = find_layouts("data.validation", files.validation, world);
  require_one_tokenizer(training.front(), validation.front());
  on_rank_0(world, [&] { warn_of_shared_file(training, validation); });
  RunData data{make_dataset(training, configuration), make_dataset(validation, configuration), {}};
  data.record = record_of(training, data.training);
  return data;
}

}  // namespace cola
