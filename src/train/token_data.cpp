#include "train/token_data.h"

#include <algorithm>
#include <sstream>

#include "core/error.h"
#include "core/log.h"
#include "io/checksum.h"
#include "io/durable_file.h"
#include "train/agreement.h"
#include "train/data_files.h"

namespace cola {

namespace {

// The lowest rank that runs where this one does.
int first_of_host(Communicator& world, const std::string& host) {
  const std::vector<std::string> hosts = world.all_gather(host);
  return static_cast<int>(std::find(hosts.begin(), hosts.end(), host) - hosts.begin());
}

// By what this node knows the files. Throws FileError for one that is not what rank 0 read.
std::string versions_here(const std::vector<TokenFileLayout>& layouts) {
  std::string versions;
  for (const TokenFileLayout& layout : layouts) {
    const FileVersion here = FileDescriptor::open_to_read(layout.path).version();
    if (here.bytes != layout.version.bytes)
      throw FileError("{}: has {} bytes, but {} on the node of rank 0", layout.path, here.bytes,
                      layout.version.bytes);
    versions += fmt::format("{} {} ", here.modified, here.inode);
  }
  return versions;
}

std::vector<TokenFileLayout> find_layouts(const char* key, const std::vector<std::string>& patterns,
                                          Communicator& world, const std::string& host = host_name()) {
  std::string text;
  on_rank_0(world, [&] { text = to_text(read_token_file_layouts(require_data_files(key, patterns))); });
  std::vector<TokenFileLayout> layouts = layouts_from_text(shared_text(world, text));
  // A file that a node does not see must not be missed in the middle of the run.
  const int looker = first_of_host(world, host);
  const bool looks = looker == world.rank();
  std::string versions;
  const std::string error = error_of([&] {
    if (looks && world.rank() != 0) versions = versions_here(layouts);  // rank 0 has read them
  });
  require_none(world, error, looks);
  // A node may have copies of its own.
  std::istringstream seen(world.all_gather(versions)[static_cast<std::size_t>(looker)]);
  for (TokenFileLayout& layout : layouts)
    if (looker != 0) seen >> layout.version.modified >> layout.version.inode;
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
