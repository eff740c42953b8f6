#include "apps/data/tokenize.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <set>
#include <sstream>

#include "apps/common/command_line.h"
#include "apps/common/exit_code.h"
#include "apps/common/together.h"
#include "apps/data/output_folder.h"
#include "core/error.h"
#include "core/log.h"
#include "io/files/durable_file.h"
#include "io/tokens/tokenization.h"
#include "io/tokens/tokenizer.h"

namespace cola {

namespace {

namespace options = boost::program_options;
using Arguments = options::variables_map;
using Clock = std::chrono::steady_clock;

/// How far rank 0 is: a bar on a terminal, else a line now and then.
class TokenizingProgress {
 public:
  explicit TokenizingProgress(std::int64_t total) : total_(std::max<std::int64_t>(total, 1)) {}
  ~TokenizingProgress() { clear(); }

  void clear() {
    if (drawn_) fmt::print(stderr, "\r\033[K");
    drawn_ = false;
  }

  void show(std::int64_t done, const TokenizationCounts& counts) {
    const auto now = Clock::now();
    if (now - last_ < (on_terminal_ ? std::chrono::milliseconds(200) : std::chrono::milliseconds(10000)))
      return;
    last_ = now;
    const double part = std::min(1.0, static_cast<double>(done) / static_cast<double>(total_));
    const double seconds = std::chrono::duration<double>(now - start_).count();
    const std::string state = fmt::format("{:3.0f} %  {} documents  {:.1f} MB/s  {:.0f} s left", 100 * part,
                                          counts.documents, static_cast<double>(counts.bytes) / 1e6 / seconds,
                                          seconds * (1 - part) / std::max(part, 1e-6));
    if (!on_terminal_) {
      information("{}", state);
      return;
    }
    constexpr std::size_t width = 30;
    const std::string filled(static_cast<std::size_t>(part * width), '#');
    fmt::print(stderr, "\r\033[K[{:<30}] {}", filled, state);
    drawn_ = true;
  }

 private:
  std::int64_t total_;
  bool on_terminal_ = ::isatty(STDERR_FILENO) == 1, drawn_ = false;
  Clock::time_point start_ = Clock::now(), last_ = start_;
};

options::options_description known_options() {
  options::options_description known;
  auto add = known.add_options();
  add("input", options::value<std::vector<std::string>>()->multitoken());
  add("output", options::value<std::string>());
  add("field", options::value<std::string>()->default_value("text"));
  add("tokenizer", options::value<std::string>());
  add("bytes", options::bool_switch());
  add("packing", options::value<std::string>()->default_value("packed"));
  add("sequence-length", options::value<std::int64_t>()->default_value(256));
  add("validation-fraction", options::value<double>()->default_value(0.01));
  add("document-bytes", options::value<std::int64_t>()->default_value(4096));
  add("skip-bad", options::value<std::int64_t>()->default_value(0));
  add("force", options::bool_switch());
  return known;
}

Arguments parse(const std::vector<std::string>& words) {
  const Arguments arguments = parse_words("cola_data", words, known_options());
  for (const char* needed : {"input", "output"})
    if (!arguments.count(needed)) throw UsageError("--{} is missing (see cola_data --help)", needed);
  return arguments;
}

std::unique_ptr<Tokenizer> choose_tokenizer(const Arguments& arguments) {
  const bool bytes = arguments["bytes"].as<bool>(), model = arguments.count("tokenizer") > 0;
  if (bytes && model) throw UsageError("--bytes and --tokenizer exclude each other");
  if (!bytes && !model) throw UsageError("give --tokenizer MODEL, or --bytes");
  return bytes ? make_byte_tokenizer() : load_tokenizer(arguments["tokenizer"].as<std::string>());
}

bool has_input_of(TextFormat format, const TokenizationOptions& wanted) {
  return std::any_of(wanted.inputs.begin(), wanted.inputs.end(),
                     [&](const std::string& input) { return text_format_of(input) == format; });
}

TokenizationOptions read_options(const Arguments& arguments) {
  TokenizationOptions wanted;
  wanted.inputs = arguments["input"].as<std::vector<std::string>>();
  wanted.output = arguments["output"].as<std::string>();
  wanted.field = arguments["field"].as<std::string>();
  wanted.packing = packing_from_name(arguments["packing"].as<std::string>());
  wanted.sequence_length = arguments["sequence-length"].as<std::int64_t>();
  wanted.validation_fraction = arguments["validation-fraction"].as<double>();
  wanted.document_bytes = arguments["document-bytes"].as<std::int64_t>();
  wanted.skip_bad = arguments["skip-bad"].as<std::int64_t>();
  wanted.force = arguments["force"].as<bool>();
  if (wanted.packing == Packing::packed && !arguments["sequence-length"].defaulted())
    throw UsageError("--sequence-length is for --packing document; packed files serve any length");
  if (!arguments["field"].defaulted() && !has_input_of(TextFormat::json_lines, wanted))
    throw UsageError("--field is for .jsonl and .json files; no input is one");
  return wanted;
}

/// As rank 0 sees them.
std::vector<InputFile> shared_input_files(Communicator& world, const std::vector<std::string>& paths) {
  const auto find = [&] { return world.rank() == 0 ? to_text(find_input_files(paths)) : std::string(); };
  const std::string text = together(world, find, CommonWork::divided);
  return input_files_from_text(shared_text(world, text));
}

/// The long part, each rank by itself: a rank that fails ends the others' work too.
void process(Communicator& world, CorpusTokenizer& corpus, const std::vector<WorkItem>& work,
             OutputFolder& folder) {
  try {
    std::int64_t total = 0, done = 0;
    for (const WorkItem& item : work) total += item.cost;
    TokenizingProgress progress(total);
    for (const WorkItem& item : work) {
      const std::int64_t scale = compression_of(item.segment.path) == Compression::none ? 1 : compressed_cost;
      const auto show = [&](std::int64_t consumed) {
        if (world.rank() == 0) progress.show(done + scale * consumed, corpus.counts());
      };
      const auto tell = [&](const std::string& problem) {
        progress.clear();
        warning("{}; left out", problem);
      };
      corpus.process(item, show, tell);
      done += item.cost;
    }
  } catch (const std::exception& problem) {
    log_error(problem.what());
    const int code = exit_code_before_step_0(problem);
    folder.remove_if_empty();  // files have no names yet, and after an abort nobody tidies
    if (world.size() > 1) world.abort(code);
    throw ReportedError(code);
  }
}

std::vector<RankSummary> gather_summaries(Communicator& world, const CorpusTokenizer& corpus) {
  std::vector<RankSummary> summaries;
  for (const std::string& text : world.all_gather(to_text(corpus.summary())))
    summaries.push_back(rank_summary_from_text(text));
  return summaries;
}

TokenizationCounts total_of(const std::vector<RankSummary>& summaries) {
  TokenizationCounts total;
  for (const RankSummary& summary : summaries) total += summary.counts;
  return total;
}

/// The ranks' files, complete, under temporary names. Returns what all ranks together have written.
TokenizationCounts close_together(Communicator& world, CorpusTokenizer& corpus,
                                  const TokenizationOptions& wanted) {
  const std::vector<RankSummary> summaries = gather_summaries(world, corpus);
  const int holding_back = rank_holding_back(summaries, wanted.validation_fraction);
  const TokenizationCounts total = total_of(summaries);
  require_few_bad_documents(total, wanted.skip_bad);
  if (total.documents == 0)
    throw UsageError("the input holds no documents ({} empty ones, {} that cannot be read)",
                     total.empty_documents, total.bad_documents);
  together(
      world, [&] { corpus.close(world.rank() == holding_back); }, CommonWork::divided);
  return total_of(gather_summaries(world, corpus));
}

/// Gives all ranks' files their names, with --force over those of an earlier run; what else that left goes
/// last, so that there are token files at any time. Returns how many there are now.
std::size_t publish_together(Communicator& world, CorpusTokenizer& corpus,
                             const TokenizationOptions& wanted) {
  const auto look_again = [&] {
    if (world.rank() == 0) require_room_for_token_files(wanted);
  };
  together(world, look_again, CommonWork::divided);
  const auto paths = together(
      world, [&] { return corpus.publish(); }, CommonWork::divided);
  std::string names;
  for (const std::string& path : paths) names += last_name(path) + "\n";
  std::set<std::string> published;
  for (const std::string& list : world.all_gather(names)) {
    std::istringstream lines(list);
    for (std::string name; std::getline(lines, name);) published.insert(name);
  }
  const auto tidy = [&] {
    if (world.rank() == 0 && wanted.force) remove_other_token_files(wanted.output, published);
  };
  together(world, tidy, CommonWork::divided);
  return published.size();
}

void report(const TokenizationCounts& counts, std::size_t files, const std::string& folder, double seconds) {
  information("documents   {} ({} for validation; {} empty ones left out)", counts.documents,
              counts.validation_documents, counts.empty_documents);
  if (counts.bad_documents > 0)
    information("left out    {} documents that cannot be read", counts.bad_documents);
  information("tokens      {}", counts.tokens);
  if (counts.cut_tokens > 0)
    information(
        "cut off     {} tokens beyond the rows; --packing packed or a smaller --document-bytes keeps them",
        counts.cut_tokens);
  information("bytes       {} ({:.2f} a token)", counts.bytes,
              static_cast<double>(counts.bytes) / static_cast<double>(counts.tokens));
  information("seconds     {:.2f} ({:.1f} MB/s)", seconds, static_cast<double>(counts.bytes) / 1e6 / seconds);
  information("written     {} files in {}", files, folder);
}

void warn_of_one_kind(const TokenizationCounts& counts, const TokenizationOptions& wanted) {
  if (wanted.validation_fraction == 0) return;  // as was asked for
  if (counts.validation_documents != 0 && counts.validation_documents != counts.documents) return;
  warning("all {} documents are for {}; {} more", counts.documents,
          counts.validation_documents == 0 ? "training" : "validation",
          has_input_of(TextFormat::plain, wanted)
              ? "more blank lines in the text, or a smaller --document-bytes, give"
              : "each line of the input is one document: more lines give");
}

}  // namespace

int tokenize_text(Communicator& world, const std::vector<std::string>& words) {
  const auto start = Clock::now();
  const Arguments arguments = parse(words);
  const TokenizationOptions wanted = read_options(arguments);
  const auto tokenizer = together(world, [&] { return choose_tokenizer(arguments); });
  together(world, [&] { check_options(wanted); });
  const auto work = work_of_rank(plan_work(shared_input_files(world, wanted.inputs), wanted.document_bytes),
                                 world.rank(), world.size());
  OutputFolder folder;
  const auto make_room = [&] {
    if (world.rank() != 0) return;
    folder.make(wanted.output);
    remove_unfinished_files(wanted.output);
  };
  together(world, make_room, CommonWork::divided);
  folder.share(world);
  const auto corpus = together(
      world, [&] { return std::make_unique<CorpusTokenizer>(*tokenizer, wanted, world.rank()); },
      CommonWork::divided);
  process(world, *corpus, work, folder);
  const TokenizationCounts total = close_together(world, *corpus, wanted);
  const std::size_t files = publish_together(world, *corpus, wanted);
  report(total, files, wanted.output, std::chrono::duration<double>(Clock::now() - start).count());
  if (world.rank() == 0) warn_of_one_kind(total, wanted);
  return exit_finished;
}

}  // namespace cola
