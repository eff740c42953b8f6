#include "io/tokens/dataset.h"

#include <glob.h>

#include <algorithm>
#include <list>
#include <mutex>
#include <set>
#include <unordered_map>

#include "core/error.h"
#include "core/kernels/cross_entropy.h"
#include "io/files/file_kind.h"
#include "io/tokens/sample_order.h"
#include "io/tokens/token_file.h"

namespace cola {

namespace {

constexpr std::int64_t run_bytes = std::int64_t{1} << 20;

// SampleOrder moves about in a window of blocks of 1 MiB, each lying across two runs or more where files
// meet: 40 runs for 16 blocks.
std::int64_t cache_bytes_of(std::size_t corpora) {
  return window_blocks_of(corpora) * run_bytes * 5 / 2;
}

std::vector<std::string> expand(const std::string& pattern) {
  glob_t matches{};
  std::vector<std::string> files;
  if (::glob(pattern.c_str(), GLOB_NOSORT | GLOB_NOCHECK, nullptr, &matches) == 0)
    files.assign(matches.gl_pathv, matches.gl_pathv + matches.gl_pathc);
  ::globfree(&matches);
  std::erase_if(files, [](const std::string& file) { return kind_of_file(file) != FileKind::file; });
  std::sort(files.begin(), files.end());  // byte order, whatever the locale
  return files;
}

/// The runs of a corpus's files that were read last. Each corpus has a cache of its own: one that is read
/// often would drive out what others will want again.
class RunCache {
 public:
  /// Keeps that much.
  explicit RunCache(std::int64_t bytes) : bytes_(bytes) {}

  /// Tokens [first, first + ids.size()) of file number `file`.
  void read(const std::vector<TokenFile>& files, std::size_t file, std::int64_t first,
            std::span<std::int32_t> ids) {
    const std::int64_t width = files[file].token_bytes(), run_tokens = run_bytes / width;
    while (!ids.empty()) {
      const std::int64_t run = first / run_tokens, skipped = first % run_tokens;
      const auto count = std::min(ids.size(), static_cast<std::size_t>(run_tokens - skipped));
      const std::span<const std::byte> stored = find(files[file], file, run);
      widen_tokens(stored.subspan(static_cast<std::size_t>(skipped * width)), width, ids.first(count));
      ids = ids.subspan(count);
      first += static_cast<std::int64_t>(count);
    }
  }

 private:
  struct Run {
    std::uint64_t key;
    std::vector<std::byte> bytes;
  };

  std::span<const std::byte> find(const TokenFile& file, std::size_t number, std::int64_t run) {
    const std::uint64_t key = (static_cast<std::uint64_t>(number) << 40) | static_cast<std::uint64_t>(run);
    if (const auto known = places_.find(key); known != places_.end()) {
      runs_.splice(runs_.begin(), runs_, known->second);
      return runs_.front().bytes;
    }
    const std::int64_t first = run * (run_bytes / file.token_bytes());
    const std::int64_t size = std::min(run_bytes, (file.tokens() - first) * file.token_bytes());
    std::vector<std::byte> bytes(static_cast<std::size_t>(size));
    file.read_stored(first, bytes);
    while (!runs_.empty() && held_ + size > bytes_) drop_oldest();
    held_ += size;
    runs_.push_front({key, std::move(bytes)});
    places_[key] = runs_.begin();
    return runs_.front().bytes;
  }
  void drop_oldest() {
    held_ -= static_cast<std::int64_t>(runs_.back().bytes.size());
    places_.erase(runs_.back().key);
    runs_.pop_back();
  }

  std::list<Run> runs_;  // the one used last in front
  std::unordered_map<std::uint64_t, std::list<Run>::iterator> places_;
  std::int64_t bytes_, held_ = 0;
};

/// How many samples a file gives; throws UsageError if it does not fit the model or the other files.
std::int64_t count_samples(const TokenFile& file, const TokenFile& first, std::int64_t sequence_length,
                           std::int64_t vocab_size) {
  const auto& mine = file.attributes();
  const auto& theirs = first.attributes();
  if (!mine.have_ids_of(theirs))
    throw UsageError("{}: tokenizer '{}' ({} ids, eos_id {}), but {} has '{}' ({} ids, eos_id {})",
                     file.path(), mine.tokenizer, mine.vocab_size, mine.eos_id, first.path(),
                     theirs.tokenizer, theirs.vocab_size, theirs.eos_id);
  if (mine.vocab_size > vocab_size)
    throw UsageError("{}: its vocabulary of {} is larger than the model's vocab_size {}", file.path(),
                     mine.vocab_size, vocab_size);
  if (mine.packing == Packing::packed) return (file.tokens() - 1) / sequence_length;
  if (mine.sequence_length != sequence_length)
    throw UsageError("{}: holds one document a row of {} tokens, but sequence_length is {}", file.path(),
                     mine.sequence_length, sequence_length);
  return file.tokens() / sequence_length;
}

/// Tokens of a document's row that belong to the document or end it; the rest is padding.
std::size_t unpadded_length(std::span<const std::int32_t> row, const TokenFileAttributes& attributes) {
  std::size_t length = row.size();
  while (length > 0 && row[length - 1] == attributes.pad_id) --length;
  // A model without a pad piece pads with eos: the first of that run is the document's own end.
  if (attributes.pad_id == attributes.eos_id && length < row.size()) ++length;
  return length;
}

}  // namespace

std::vector<std::string> find_token_files(const std::vector<std::string>& patterns) {
  std::vector<std::string> files;
  std::set<std::string> seen;
  for (const std::string& pattern : patterns) {
    const std::vector<std::string> matches = expand(pattern);
    if (matches.empty()) throw UsageError("no token file matches '{}'", pattern);
    for (const std::string& match : matches)
      if (seen.insert(canonical_path(match)).second) files.push_back(match);
  }
  return files;
}

struct TokenDataset::Implementation {
  void add_corpus(Corpus corpus, std::span<TokenFileLayout> layouts, std::int64_t vocab_size);

  std::int64_t sequence_length = 0;
  std::vector<TokenFile> files;
  std::vector<std::int64_t> first_sample{0};  // of each file, and at last the number of all samples
  std::vector<std::size_t> corpus_of_file;
  std::vector<Corpus> corpora;
  std::mutex mutex;
  std::vector<RunCache> caches;  // of each corpus
};

void TokenDataset::Implementation::add_corpus(Corpus corpus, std::span<TokenFileLayout> layouts,
                                              std::int64_t vocab_size) {
  if (corpus.name.empty()) corpus.name = layouts.front().path;
  for (TokenFileLayout& layout : layouts) {
    const TokenFile& file = files.emplace_back(std::move(layout));
    const std::int64_t samples = count_samples(file, files.front(), sequence_length, vocab_size);
    first_sample.push_back(first_sample.back() + samples);
    corpus_of_file.push_back(corpora.size());
    if (corpus.sample_bytes == 0) corpus.sample_bytes = sequence_length * file.token_bytes();
    corpus.samples += samples;
    corpus.tokens += file.tokens();
  }
  if (corpus.samples == 0)
    throw UsageError("{}: too short for a single sample ({} tokens in {} files, one needs {})", corpus.name,
                     corpus.tokens, corpus.files, sequence_length + 1);
  corpora.push_back(std::move(corpus));
}

std::vector<TokenFileLayout> read_token_file_layouts(const std::vector<std::string>& files) {
  std::vector<TokenFileLayout> layouts;
  for (const std::string& path : files) layouts.push_back(read_token_file_layout(path));
  return layouts;
}

TokenDataset::TokenDataset(const std::vector<std::string>& files, std::int64_t sequence_length,
                           std::int64_t vocab_size)
    : TokenDataset(read_token_file_layouts(files), sequence_length, vocab_size) {}

TokenDataset::TokenDataset(const std::vector<TokenFileLayout>& files, std::int64_t sequence_length,
                           std::int64_t vocab_size)
    : TokenDataset(files, {{.files = std::ssize(files)}}, sequence_length, vocab_size) {}

TokenDataset::TokenDataset(std::vector<TokenFileLayout> files, const std::vector<Corpus>& corpora,
                           std::int64_t sequence_length, std::int64_t vocab_size)
    : implementation_(std::make_unique<Implementation>()) {
  auto& self = *implementation_;
  if (files.empty()) throw UsageError("no token files given");
  if (sequence_length < 1) throw UsageError("sequence_length {} is not at least 1", sequence_length);
  self.sequence_length = sequence_length;
  self.files.reserve(files.size());
  std::span<TokenFileLayout> layouts(files);
  for (const Corpus& corpus : corpora) {
    const auto count = static_cast<std::size_t>(corpus.files);
    if (count < 1 || count > layouts.size())
      throw Error("{}: a corpus of {} files, {} there", corpus.name, corpus.files, layouts.size());
    self.add_corpus(corpus, layouts.first(count), vocab_size);
    self.caches.emplace_back(cache_bytes_of(corpora.size()));
    layouts = layouts.subspan(count);
  }
}
TokenDataset::TokenDataset(TokenDataset&& other) noexcept = default;
TokenDataset::~TokenDataset() = default;

std::int64_t TokenDataset::files() const {
  return static_cast<std::int64_t>(implementation_->files.size());
}
std::int64_t TokenDataset::samples() const {
  return implementation_->first_sample.back();
}
std::int64_t TokenDataset::tokens() const {
  std::int64_t tokens = 0;
  for (const Corpus& corpus : corpora()) tokens += corpus.tokens;
  return tokens;
}
std::int64_t TokenDataset::sequence_length() const {
  return implementation_->sequence_length;
}
const std::vector<Corpus>& TokenDataset::corpora() const {
  return implementation_->corpora;
}

void TokenDataset::read(std::int64_t index, std::span<std::int32_t> inputs,
                        std::span<std::int32_t> targets) const {
  auto& self = *implementation_;
  const auto length = static_cast<std::size_t>(self.sequence_length);
  if (index < 0 || index >= samples()) throw Error("sample {} asked for, {} there", index, samples());
  if (inputs.size() != length || targets.size() != length)
    throw Error("a sample has {} tokens, room for {} and {} was given", length, inputs.size(),
                targets.size());
  const auto next = std::upper_bound(self.first_sample.begin(), self.first_sample.end(), index);
  const auto number = static_cast<std::size_t>(next - self.first_sample.begin() - 1);
  const auto& attributes = self.files[number].attributes();
  const std::int64_t first = (index - self.first_sample[number]) * self.sequence_length;

  const std::scoped_lock lock(self.mutex);
  RunCache& cache = self.caches[self.corpus_of_file[number]];
  cache.read(self.files, number, first, inputs);
  std::copy(inputs.begin() + 1, inputs.end(), targets.begin());
  if (attributes.packing == Packing::packed) {
    cache.read(self.files, number, first + self.sequence_length, targets.last(1));
    return;
  }
  const std::size_t known = std::max<std::size_t>(unpadded_length(inputs, attributes), 1) - 1;
  std::fill(targets.begin() + static_cast<std::ptrdiff_t>(known), targets.end(), ignored_target);
}

}  // namespace cola
