// TokenDataset: training samples out of token files, which make up one corpus or several. A sample is
// `sequence_length` input ids and as many targets.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "io/tokens/token_file.h"

namespace cola {

/// Expands glob patterns and plain paths into an ordered list of files, without duplicates. Throws UsageError
/// naming a pattern that matches nothing, or a file that cannot be looked at.
std::vector<std::string> find_token_files(const std::vector<std::string>& patterns);

/// The layouts of all these files. Throws FileError.
std::vector<TokenFileLayout> read_token_file_layouts(const std::vector<std::string>& files);

/// Files that are read as one, and how often in comparison with other corpora.
struct Corpus {
  std::string name = {};  // for messages; empty: that of its first file
  double weight = 1;      // its share of the samples that a run reads, in proportion to those of the others
  std::int64_t files = 0;
  std::int64_t samples = 0, tokens = 0;
  std::int64_t sample_bytes = 0;  // of one sample on disk, as SampleOrder wants to know
};

class TokenDataset {
 public:
  /// Opens all files. Throws FileError or UsageError naming the file: unreadable, empty, another vocabulary
  /// than the first, ids beyond `vocab_size`, or packed for another sequence length; and if all files
  /// of a corpus are too short for a single sample. A packed file gives floor((tokens - 1) / sequence_length)
  /// samples: its last tokens, and all of a file shorter than a sample (a rank's share of a small corpus),
  /// are left out.
  TokenDataset(const std::vector<std::string>& files, std::int64_t sequence_length, std::int64_t vocab_size);
  /// The same of files whose layouts are known; each is opened when it is first read from.
  TokenDataset(const std::vector<TokenFileLayout>& files, std::int64_t sequence_length,
               std::int64_t vocab_size);
  /// The same of several corpora, whose names, weights and numbers of files are given: the first of `files`
  /// are those of the first corpus, and so on.
  TokenDataset(std::vector<TokenFileLayout> files, const std::vector<Corpus>& corpora,
               std::int64_t sequence_length, std::int64_t vocab_size);
  TokenDataset(TokenDataset&& other) noexcept;
  ~TokenDataset();

  /// Number of files, of samples, and of tokens in all files.
  std::int64_t files() const;
  std::int64_t samples() const;
  std::int64_t tokens() const;
  std::int64_t sequence_length() const;
  /// One or more; samples of the first come first.
  const std::vector<Corpus>& corpora() const;

  /// Sample `index` in file order: inputs [sequence_length]; targets [sequence_length], ignored_target (-1)
  /// for padding. Packed files: targets are the inputs moved by one. Document files: one document a row, of
  /// which the last position has no target; the end-of-document id counts as one. Read in runs of 1 MiB, of
  /// which the last ones of every corpus are kept: 40 MiB each up to four corpora, then less, as their
  /// windows are smaller (window_blocks_of). Safe from several threads. Throws FileError naming file and
  /// offset for an id beyond the vocabulary.
  void read(std::int64_t index, std::span<std::int32_t> inputs, std::span<std::int32_t> targets) const;

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace cola
