// Tokenization: a corpus of text files becomes train-*.h5 and validation-*.h5. Each rank does its part on its
// own; the little that ranks must agree on passes through plain values (RankSummary), so nothing here knows
// how they talk.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "io/tokens/token_file.h"
#include "io/tokens/tokenizer.h"
#include "io/tokens/work_plan.h"

namespace cola {

struct TokenizationOptions {
  std::vector<std::string> inputs;
  std::string output;  // folder
  Packing packing = Packing::packed;
  std::int64_t sequence_length = 256;  // of document packing
  double validation_fraction = 0.01;
  std::int64_t document_bytes = 4096;
  std::string field = "text";  // of JSON objects, which holds a document's text
  std::int64_t skip_bad = 0;   // documents that may be left out because they cannot be read
  bool force = false;          // replace token files that are there
};

/// Throws UsageError for values that cannot be, a missing input, an unknown kind of file, or an output folder
/// that holds token files already (unless force). Changes nothing.
void check_options(const TokenizationOptions& options);
/// Throws UsageError if the output folder holds token files (unless force): another run may have put them
/// there since this one began.
void require_room_for_token_files(const TokenizationOptions& options);

struct TokenizationCounts {
  std::int64_t documents = 0, validation_documents = 0, empty_documents = 0;
  std::int64_t bad_documents = 0;  // that cannot be read, and were left out
  std::int64_t tokens = 0;         // as in the files, end-of-document ids and padding too
  std::int64_t bytes = 0;          // of text
  std::int64_t cut_tokens = 0;     // beyond the rows of document packing, and lost

  TokenizationCounts& operator+=(const TokenizationCounts& other);
};

/// Throws UsageError if the ranks together have left out more documents than may be.
void require_few_bad_documents(const TokenizationCounts& total, std::int64_t skip_bad);

/// What the ranks tell each other before anything is written for good.
struct RankSummary {
  TokenizationCounts counts;
  /// Hash of the training document that would be held back for validation; none if the rank has one there
  /// already.
  std::optional<std::uint64_t> smallest_hash;
};
std::string to_text(const RankSummary& summary);
RankSummary rank_summary_from_text(const std::string& text);

/// The rank whose document must be held back so that validation is not empty: the one with the smallest hash.
/// -1 if validation has documents, if there is only one document, or if no validation is wanted.
int rank_holding_back(std::span<const RankSummary> summaries, double validation_fraction);

/// A document belongs to validation if the hash of its text (xxh3, 64 bits) falls into the lowest `fraction`
/// of the range.
bool belongs_to_validation(std::uint64_t hash, double fraction);

/// One rank's part.
class CorpusTokenizer {
 public:
  CorpusTokenizer(const Tokenizer& tokenizer, const TokenizationOptions& options, int rank);
  ~CorpusTokenizer();

  /// Reads and tokenizes. `progress` hears how many bytes of the item have been read, after each document;
  /// `left_out` what is the matter with each document that cannot be read. Throws FileError naming the file
  /// for bad input, a bad document beyond options.skip_bad of this rank's among it, and for a file that has
  /// become shorter than was planned.
  void process(const WorkItem& item, const std::function<void(std::int64_t)>& progress,
               const std::function<void(const std::string&)>& left_out);
  const TokenizationCounts& counts() const;
  RankSummary summary() const;

  /// Writes this rank's files under temporary names. `hold_back`: see rank_holding_back.
  void close(bool hold_back);
  /// Gives them their names; returns the paths. Files are numbered by rank; a rank without documents has
  /// none.
  std::vector<std::string> publish();

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

/// Removes what a killed run left under temporary names in the output folder; to be done by one rank before
/// any begins.
void remove_unfinished_files(const std::string& folder);
/// Removes the token files of an earlier run, those that are not named; to be done by one rank after all have
/// published theirs.
void remove_other_token_files(const std::string& folder, const std::set<std::string>& names);

}  // namespace cola
