#include "io/tokens/tokenization.h"

#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>
#include <sstream>

#include "core/error.h"
#include "io/files/file_kind.h"

namespace cola {

namespace {

namespace fs = std::filesystem;

/// The training and validation files in a folder whose names end so.
std::vector<fs::path> token_files_in(const std::string& folder, std::string_view suffix) {
  std::vector<fs::path> files;
  if (kind_of_file(folder) != FileKind::folder) return files;
  std::error_code problem;
  for (fs::directory_iterator entry(folder, problem), end; !problem && entry != end;
       entry.increment(problem)) {
    const std::string name = entry->path().filename().string();
    if ((name.starts_with("train-") || name.starts_with("validation-")) && name.ends_with(suffix))
      files.push_back(entry->path());
  }
  if (problem) throw UsageError("{}: cannot be listed: {}", folder, problem.message());
  std::sort(files.begin(), files.end());
  return files;
}

void remove_all(const std::vector<fs::path>& files) {
  for (const fs::path& file : files) {
    std::error_code failure;
    fs::remove(file, failure);
    if (failure) throw Error("{}: cannot remove: {}", file.string(), failure.message());
  }
}

void check_input(const std::string& input) {
  require_file(input);
  text_format_of(input);
}

}  // namespace

void check_options(const TokenizationOptions& options) {
  if (options.inputs.empty()) throw UsageError("no input files given");
  if (!(options.validation_fraction >= 0 && options.validation_fraction < 1))
    throw UsageError("validation fraction {} is not in [0, 1)", options.validation_fraction);
  if (options.document_bytes < 0) throw UsageError("document bytes {} are negative", options.document_bytes);
  if (options.skip_bad < 0) throw UsageError("--skip-bad {} is negative", options.skip_bad);
  if (options.packing == Packing::document && options.sequence_length < 2)
    throw UsageError("sequence length {} is not at least 2", options.sequence_length);
  for (const std::string& input : options.inputs) check_input(input);
  if (const FileKind kind = kind_of_file(options.output);
      kind != FileKind::folder && kind != FileKind::missing)
    throw UsageError("{}: the output must be a folder", options.output);
  require_room_for_token_files(options);
}

void require_room_for_token_files(const TokenizationOptions& options) {
  const auto present = token_files_in(options.output, ".h5");
  if (!options.force && !present.empty())
    throw UsageError("{}: holds token files already ({}); choose another folder, or --force to replace them",
                     options.output, present.front().filename().string());
}

TokenizationCounts& TokenizationCounts::operator+=(const TokenizationCounts& other) {
  documents += other.documents;
  validation_documents += other.validation_documents;
  empty_documents += other.empty_documents;
  bad_documents += other.bad_documents;
  tokens += other.tokens;
  bytes += other.bytes;
  cut_tokens += other.cut_tokens;
  return *this;
}

void require_few_bad_documents(const TokenizationCounts& total, std::int64_t skip_bad) {
  if (total.bad_documents > skip_bad)
    throw UsageError("{} documents cannot be read, and --skip-bad {} allows no more to be left out",
                     total.bad_documents, skip_bad);
}

std::string to_text(const RankSummary& summary) {
  const auto& counts = summary.counts;
  return fmt::format("{} {} {} {} {} {} {} {}", counts.documents, counts.validation_documents,
                     counts.empty_documents, counts.bad_documents, counts.tokens, counts.bytes,
                     counts.cut_tokens,
                     summary.smallest_hash ? std::to_string(*summary.smallest_hash) : std::string());
}

RankSummary rank_summary_from_text(const std::string& text) {
  RankSummary summary;
  auto& counts = summary.counts;
  std::istringstream fields(text);
  fields >> counts.documents >> counts.validation_documents >> counts.empty_documents >>
      counts.bad_documents >> counts.tokens >> counts.bytes >> counts.cut_tokens;
  if (!fields) throw Error("'{}' is no summary of a rank", text);
  if (std::uint64_t hash = 0; fields >> hash) summary.smallest_hash = hash;
  return summary;
}

int rank_holding_back(std::span<const RankSummary> summaries, double validation_fraction) {
  TokenizationCounts total;
  int chosen = -1;
  for (std::size_t rank = 0; rank < summaries.size(); ++rank) {
    total += summaries[rank].counts;
    const auto& hash = summaries[rank].smallest_hash;
    if (hash && (chosen < 0 || *hash < *summaries[static_cast<std::size_t>(chosen)].smallest_hash))
      chosen = static_cast<int>(rank);
  }
  const bool needed = validation_fraction > 0 && total.validation_documents == 0 && total.documents >= 2;
  return needed ? chosen : -1;
}

bool belongs_to_validation(std::uint64_t hash, double fraction) {
  return static_cast<double>(hash >> 11) < fraction * 0x1p53;
}

struct CorpusTokenizer::Implementation {
  /// A training document kept aside: the one with the smallest hash so far. Without ids there is none.
  struct Candidate {
    std::uint64_t hash = 0;
    std::vector<std::int32_t> ids;
  };

  const Tokenizer& tokenizer;
  TokenizationOptions options;
  TokenFileWriter train, validation;
  TokenizationCounts counts;
  Candidate candidate;
  LineCounter line_counter;

  static TokenFileAttributes attributes(const Tokenizer& tokenizer, const TokenizationOptions& options) {
    return {tokenizer.vocab_size(), tokenizer.eos_id(),
            tokenizer.pad_id(),     tokenizer.identity(),
            options.packing,        options.packing == Packing::document ? options.sequence_length : 0};
  }
  static std::string path(const TokenizationOptions& options, const char* part, int rank) {
    return (fs::path(options.output) / fmt::format("{}-{:05}.h5", part, rank)).string();
  }

  Implementation(const Tokenizer& used, const TokenizationOptions& wanted, int rank)
      : tokenizer(used),
        options(wanted),
        train(path(wanted, "train", rank), attributes(used, wanted)),
        validation(path(wanted, "validation", rank), attributes(used, wanted)) {}

  /// As DocumentReader::next, past as many documents that cannot be read as may be left out.
  bool next_good_document(DocumentReader& reader, std::string& document,
                          const std::function<void(const std::string&)>& left_out) {
    for (;;) {
      try {
        return reader.next(document);
      } catch (const BadDocument& bad) {
        if (options.skip_bad == 0) throw;
        if (counts.bad_documents == options.skip_bad)
          throw FileError("{}; {} bad documents were left out before, and --skip-bad allows no more",
                          bad.what(), counts.bad_documents);
        ++counts.bad_documents;
        left_out(bad.what());
      }
    }
  }

  void add(const std::string& text) {
    std::vector<std::int32_t> ids = tokenizer.encode(text);
    if (ids.empty()) {  // nothing but what the tokenizer's normalization drops
      ++counts.empty_documents;
      return;
    }
    ++counts.documents;
    counts.bytes += static_cast<std::int64_t>(text.size());
    if (options.packing == Packing::document)
      counts.cut_tokens +=
          std::max<std::int64_t>(0, static_cast<std::int64_t>(ids.size()) - options.sequence_length);
    const std::uint64_t hash = XXH3_64bits(text.data(), text.size());
    if (belongs_to_validation(hash, options.validation_fraction)) {
      ++counts.validation_documents;
      validation.append(ids);
      release_candidate();
    } else if (counts.validation_documents == 0 && (candidate.ids.empty() || hash < candidate.hash)) {
      release_candidate();
      candidate = {hash, std::move(ids)};
    } else {
      train.append(ids);
    }
  }

  void release_candidate() {
    if (!candidate.ids.empty()) train.append(candidate.ids);
    candidate.ids.clear();
  }
};

CorpusTokenizer::CorpusTokenizer(const Tokenizer& tokenizer, const TokenizationOptions& options, int rank)
    : implementation_(std::make_unique<Implementation>(tokenizer, options, rank)) {}
CorpusTokenizer::~CorpusTokenizer() = default;

void CorpusTokenizer::process(const WorkItem& item, const std::function<void(std::int64_t)>& progress,
                              const std::function<void(const std::string&)>& left_out) {
  auto& self = *implementation_;
  require_unshrunk(item);
  DocumentReader reader(item.segment, self.options.document_bytes, self.options.field, self.line_counter);
  for (std::string document; self.next_good_document(reader, document, left_out);) {
    self.add(document);
    progress(reader.consumed());
  }
  self.line_counter = reader.line_counter();
  require_unshrunk(item);
  self.counts.empty_documents += reader.empty_documents();
  self.counts.tokens = self.train.tokens() + self.validation.tokens();
}

const TokenizationCounts& CorpusTokenizer::counts() const {
  return implementation_->counts;
}

RankSummary CorpusTokenizer::summary() const {
  const auto& self = *implementation_;
  RankSummary summary{self.counts, std::nullopt};
  if (!self.candidate.ids.empty()) summary.smallest_hash = self.candidate.hash;
  return summary;
}

void CorpusTokenizer::close(bool hold_back) {
  auto& self = *implementation_;
  if (hold_back && !self.candidate.ids.empty()) {
    self.validation.append(self.candidate.ids);
    ++self.counts.validation_documents;
    self.candidate.ids.clear();
  }
  self.release_candidate();
  self.counts.tokens = self.train.tokens() + self.validation.tokens();
  for (TokenFileWriter* writer : {&self.train, &self.validation})
    if (writer->documents() > 0) writer->close();
}

std::vector<std::string> CorpusTokenizer::publish() {
  auto& self = *implementation_;
  std::vector<std::string> paths;
  for (TokenFileWriter* writer : {&self.train, &self.validation}) {
    if (writer->documents() == 0) continue;
    writer->publish();
    paths.push_back(writer->path());
  }
  return paths;
}

void remove_unfinished_files(const std::string& folder) {
  remove_all(token_files_in(folder, ".tmp"));
}

void remove_other_token_files(const std::string& folder, const std::set<std::string>& names) {
  std::vector<fs::path> others = token_files_in(folder, ".h5");
  std::erase_if(others, [&](const fs::path& file) { return names.contains(file.filename().string()); });
  remove_all(others);
}

}  // namespace cola
