#include "train/checkpoints/same_run.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/log.h"
#include "io/tokens/tokenizer.h"
#include "train/configuration/configuration_changes.h"

namespace cola {

namespace {

RunConfiguration configuration_of(const Manifest& manifest, const std::string& folder) {
  return parse_run_configuration(manifest.configuration, folder + "/manifest.json");
}

bool decides_on_the_function(const ConfigurationChange& change) {
  return change.key.starts_with("model.");
}
bool decides_on_the_samples(const ConfigurationChange& change) {
  return change.key == "run.seed" || change.key == "data.sequence_length";
}

// They say where a run lies, whether it may resume and how long a job lasts, not how it trains.
bool is_worth_telling(const ConfigurationChange& change) {
  constexpr std::array<std::string_view, 5> untold = {"run.name", "run.dir", "run.time_limit",
                                                      "run.stop_margin", "data.allow_change"};
  return std::find(untold.begin(), untold.end(), change.key) == untold.end();
}

void require_same_settings(const Manifest& manifest, const RunConfiguration& now, const std::string& folder,
                           bool samples_too) {
  RunConfiguration before = configuration_of(manifest, folder);
  before.run.seed = manifest.seed;
  if (before.model.projection == ProjectionKind::full && now.model.projection == ProjectionKind::full) {
    before.model.rank = now.model.rank;  // of no account for full-rank models
    before.model.gate_activation = now.model.gate_activation;
  }
  // It may grow: it bounds the sequence length and is told to other programs, but nothing computes with it.
  before.model.max_position_embeddings =
      std::max(before.model.max_position_embeddings, now.model.max_position_embeddings);
  std::vector<ConfigurationChange> changes = configuration_changes(before, now);
  std::erase_if(changes, [&](const auto& change) {
    return !decides_on_the_function(change) && !(samples_too && decides_on_the_samples(change));
  });
  if (!changes.empty())
    throw UsageError(
        "{}: was trained with other settings: {}; set them back, or set another run.dir to start "
        "anew",
        folder, describe(changes));
}

std::string describe_tokenizers(const std::string& before, const std::string& now) {
  return fmt::format("tokenizer '{}', now '{}'", before, now);
}

std::string count_corpora(const std::vector<CorpusRecord>& corpora) {
  return corpora.empty() ? "one corpus" : fmt::format("{} corpora by data.weights", corpora.size());
}

// How two blends differ, by the first corpus that does.
std::string describe_difference(const std::vector<CorpusRecord>& before,
                                const std::vector<CorpusRecord>& now) {
  if (before.size() != now.size())
    return fmt::format("{}, now {}", count_corpora(before), count_corpora(now));
  const auto percent = [](const std::vector<CorpusRecord>& corpora, std::size_t i) {
    const auto add = [](std::int64_t sum, const CorpusRecord& corpus) { return sum + corpus.parts; };
    return 100 * static_cast<double>(corpora[i].parts) /
           static_cast<double>(std::accumulate(corpora.begin(), corpora.end(), std::int64_t{0}, add));
  };
  const auto i = static_cast<std::size_t>(std::mismatch(before.begin(), before.end(), now.begin()).first -
                                          before.begin());
  if (before[i].files != now[i].files)
    return fmt::format("data.weights with {} files in entry {} of data.train, now {}", before[i].files, i + 1,
                       now[i].files);
  return fmt::format("data.weights that give entry {} of data.train {:.6g} %, now {:.6g} %", i + 1,
                     percent(before, i), percent(now, i));
}

// What of the data differs, the clearest first; empty if nothing does.
std::string describe_difference(const DataRecord& before, const DataRecord& now) {
  if (!is_same_tokenizer(before.tokenizer, now.tokenizer))
    return describe_tokenizers(before.tokenizer, now.tokenizer);
  if (before.tokens != now.tokens || before.files != now.files)
    return fmt::format("{} tokens in {} files, now {} in {}", before.tokens, before.files, now.tokens,
                       now.files);
  if (before.samples != now.samples) return fmt::format("{} samples, now {}", before.samples, now.samples);
  if (before.checksum != now.checksum) return "files of other names or sizes, or in another order";
  if (before.corpora != now.corpora) return describe_difference(before.corpora, now.corpora);
  return {};
}

// The checkpoint's tokenizer, where it is known for sure and not that of the data; empty otherwise.
std::string find_other_tokenizer(const Manifest& manifest, const std::string& tokenizer) {
  if (!manifest.data || !is_tokenizer_identity(manifest.data->tokenizer)) return {};
  return is_same_tokenizer(manifest.data->tokenizer, tokenizer) ? std::string() : manifest.data->tokenizer;
}

// Imported weights have read no sample of these data yet, but their ids mean what the tokenizer says.
std::string describe_difference_of_start(const Manifest& manifest, const DataRecord& now) {
  const std::string before = find_other_tokenizer(manifest, now.tokenizer);
  return before.empty() ? before : describe_tokenizers(before, now.tokenizer);
}

void require_same_data(const Manifest& manifest, const RunIdentity& run, const std::string& folder) {
  const bool has_read = manifest.next_sample > 0;
  if (has_read && !manifest.data)
    return warning("{}: does not say what data it was trained on: data.train is taken for the same", folder);
  const std::string difference = has_read ? describe_difference(*manifest.data, run.data)
                                          : describe_difference_of_start(manifest, run.data);
  if (difference.empty()) return;
  if (!run.configuration.data.allow_change)
    throw UsageError(
        "data.train: {} was trained on other data ({}); data.allow_change=true resumes with the new ones",
        folder, difference);
  warning("data.train: {} was trained on other data ({}): resumes with the new ones, in their own order",
          folder, difference);
}

}  // namespace

void require_same_model(const Manifest& manifest, const RunConfiguration& configuration,
                        const ParameterTable& table, const std::string& folder) {
  if (!manifest.configuration.empty()) require_same_settings(manifest, configuration, folder, false);
  require_same_parameters(manifest, table, folder);
}

void require_same_tokenizer(const Manifest& manifest, const TokenFileLayout& data,
                            const std::string& folder) {
  const std::string before = find_other_tokenizer(manifest, data.attributes.tokenizer);
  if (!before.empty())
    throw UsageError(
        "data.validation: {} has tokenizer '{}', but {} was trained with '{}': its loss would mean nothing",
        data.path, data.attributes.tokenizer, folder, before);
}

void require_same_run(const Manifest& manifest, const RunIdentity& run, const std::string& folder) {
  if (manifest.configuration.empty()) return require_same_parameters(manifest, run.table, folder);
  const bool has_read = manifest.next_sample > 0;  // imported weights have not
  require_same_settings(manifest, run.configuration, folder, has_read);
  require_same_parameters(manifest, run.table, folder);
  require_same_data(manifest, run, folder);
}

std::string describe_changes(const Manifest& manifest, const RunConfiguration& configuration, int ranks,
                             const std::string& folder) {
  if (manifest.configuration.empty() || manifest.next_sample == 0) return {};  // no step was made with it
  const RunConfiguration before = configuration_of(manifest, folder);
  std::vector<ConfigurationChange> changes = configuration_changes(before, configuration);
  std::erase_if(changes, [](const auto& change) { return !is_worth_telling(change); });
  std::string text = describe(changes);
  // Where optimizer state is split, there is a shard a rank.
  const bool split = before.parallel.zero_stage > 0 && manifest.step > 0;
  if (const auto ranks_before = static_cast<int>(manifest.shards.size()); split && ranks_before != ranks)
    text += fmt::format("{}{} {} -> {}", text.empty() ? "" : ", ", ranks_before,
                        ranks_before == 1 ? "rank" : "ranks", ranks);
  return text;
}

}  // namespace cola
