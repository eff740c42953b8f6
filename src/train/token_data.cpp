#include "train/token_data.h"

#include <sstream>
#include <utility>

#include "core/error.h"
#include "core/log.h"
#include "io/files/checksum.h"
#include "io/files/durable_file.h"
#include "io/tokens/blended_order.h"
#include "train/agreement.h"
#include "train/data_files.h"
#include "train/ranks_of_node.h"

namespace cola {

namespace {

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

// What the configuration says of some data. With weights, each pattern is a corpus of its own.
struct DataSource {
  const char* key;
  const std::vector<std::string>& patterns;
  std::vector<double> weights = {};
};

// The files of each corpus, in order, and what is known of them.
struct FoundFiles {
  std::vector<TokenFileLayout> layouts;
  std::vector<Corpus> corpora;
};

// A line with the corpora's numbers of files, then the layouts.
std::string find_as_text(const DataSource& source) {
  std::vector<std::vector<std::string>> files;
  if (source.weights.empty())
    files.push_back(require_data_files(source.key, source.patterns));
  else
    files = require_separate_data_files(source.key, source.patterns);
  std::string counts;
  std::vector<std::string> all;
  for (const std::vector<std::string>& corpus : files) {
    counts += fmt::format("{} ", corpus.size());
    all.insert(all.end(), corpus.begin(), corpus.end());
  }
  return counts + "\n" + to_text(read_token_file_layouts(all));
}

FoundFiles found_from_text(const std::string& text, const DataSource& source) {
  const std::size_t end = text.find('\n');
  FoundFiles found{layouts_from_text(text.substr(end + 1)), {}};
  std::istringstream counts(text.substr(0, end));
  for (Corpus corpus; counts >> corpus.files; found.corpora.push_back(corpus)) {
    if (source.weights.empty()) continue;
    corpus.name = source.patterns[found.corpora.size()];
    corpus.weight = source.weights[found.corpora.size()];
  }
  return found;
}

FoundFiles find_files(const DataSource& source, Communicator& world, const std::string& host = host_name()) {
  std::string text;
  on_rank_0(world, [&] { text = find_as_text(source); });
  FoundFiles found = found_from_text(shared_text(world, text), source);
  std::vector<TokenFileLayout>& layouts = found.layouts;
  // A file that a node does not see must not be missed in the middle of the run.
  const int looker = ranks_of_node(world, host).front();
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
  return found;
}

TokenDataset make_dataset(const FoundFiles& found, const RunConfiguration& configuration) {
  return TokenDataset(found.layouts, found.corpora, configuration.data.sequence_length,
                      configuration.model.vocab_size);
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

// None of a single corpus, whatever its weight.
std::vector<CorpusRecord> records_of(const std::vector<Corpus>& corpora) {
  std::vector<CorpusRecord> records;
  if (corpora.size() == 1) return records;
  const std::vector<std::int64_t> parts = blend_of(corpora).parts();
  for (std::size_t i = 0; i < corpora.size(); ++i) records.push_back({corpora[i].files, parts[i]});
  return records;
}

// Folders are left out: data may be moved.
DataRecord record_of(const std::vector<TokenFileLayout>& layouts, const TokenDataset& data) {
  std::string sizes;
  for (const TokenFileLayout& layout : layouts)
    sizes += fmt::format("{} {} {}\n", last_name(layout.path), layout.tokens.size, layout.documents.size);
  return {data.files(),       data.tokens(),
          data.samples(),     layouts.front().attributes.tokenizer,
          checksum_of(sizes), records_of(data.corpora())};
}

}  // namespace

TokenDataset open_token_data(const char* key, const std::vector<std::string>& patterns,
                             const RunConfiguration& configuration, Communicator& world,
                             const std::string& host) {
  return make_dataset(find_files({key, patterns}, world, host), configuration);
}

RunData open_run_data(const RunConfiguration& configuration, Communicator& world) {
  const DataSection& files = configuration.data;
  const FoundFiles training = find_files({"data.train", files.train, files.weights}, world);
  const FoundFiles validation = find_files({"data.validation", files.validation}, world);
  require_one_tokenizer(training.layouts.front(), validation.layouts.front());
  on_rank_0(world, [&] { warn_of_shared_file(training.layouts, validation.layouts); });
  RunData data{make_dataset(training, configuration), make_dataset(validation, configuration), {}};
  data.record = record_of(training.layouts, data.training);
  return data;
}

}  // namespace cola
