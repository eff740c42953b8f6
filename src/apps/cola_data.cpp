// cola_data: makes token files of text, and looks at them.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "apps/program.h"
#include "core/error.h"
#include "core/log.h"
#include "core/version.h"
#include "dist/communicator.h"
#include "dist/launch.h"
#include "dist/launch_environment.h"
#include "io/durable_file.h"
#include "io/token_file.h"
#include "io/token_file_check.h"
#include "io/tokenization.h"
#include "io/tokenizer.h"

namespace {

using namespace cola;
namespace options = boost::program_options;
using Arguments = options::variables_map;
using Clock = std::chrono::steady_clock;

constexpr const char* help =
    R"(cola_data: make token files for training out of text, and look at them.

  cola_data tokenize --input FILE... --output DIR (--tokenizer MODEL | --bytes) [OPTION...]
  cola_data inspect FILE
  cola_data --help | --version

tokenize writes DIR/train-NNNNN.h5 and DIR/validation-NNNNN.h5, one of each for every rank that has documents. Start it
under mpirun or srun to tokenize in parallel: files are dealt out by size, and large uncompressed ones divided.

  --input FILE...            .txt, .jsonl or .json (one object a line, its text in the field "text"), each plain or
                             compressed: .gz, .zst, .dz
  --output DIR               made if it is not there
  --tokenizer MODEL          a SentencePiece model; its end-of-sentence piece ends documents
  --bytes                    no model: ids 0-255 are the bytes, 256 ends a document, 257 is padding
  --packing packed           documents one after another, each with its end: every token trains (the default)
  --packing document         one document a row, cut or padded to the sequence length; padding does not train
  --sequence-length L        of --packing document (default 256); must be data.sequence_length of the training run
  --validation-fraction F    documents held back, chosen by a hash of their text and nothing else (default 0.01); at least
                             one of two; 0 for none
  --document-bytes N         .txt files are cut at blank lines into documents of at least N bytes (default 4096), and where
                             there is none for 1 MiB at a line's end or white space; 0 takes a whole file as one document
  --force                    replace the token files in DIR, once the new ones are complete

inspect prints a token file's attributes, counts and first tokens, and checks all of it.

Nothing appears in DIR under its final name before every rank has finished: after a failure, run it again.

Exit codes: 0 done; 2 bad command line or bad input; 1 anything else, inspect finding a damaged file among it.
)";

/// How far rank 0 is: a bar on a terminal, else a line now and then.
class Progress {
 public:
  explicit Progress(std::int64_t total) : total_(std::max<std::int64_t>(total, 1)) {}
  ~Progress() {
    if (drawn_) fmt::print(stderr, "\r\033[K");
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
  add("tokenizer", options::value<std::string>());
  add("bytes", options::bool_switch());
  add("packing", options::value<std::string>()->default_value("packed"));
  add("sequence-length", options::value<std::int64_t>()->default_value(256));
  add("validation-fraction", options::value<double>()->default_value(0.01));
  add("document-bytes", options::value<std::int64_t>()->default_value(4096));
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

TokenizationOptions read_options(const Arguments& arguments) {
  TokenizationOptions wanted;
  wanted.inputs = arguments["input"].as<std::vector<std::string>>();
  wanted.output = arguments["output"].as<std::string>();
  wanted.packing = packing_from_name(arguments["packing"].as<std::string>());
  wanted.sequence_length = arguments["sequence-length"].as<std::int64_t>();
  wanted.validation_fraction = arguments["validation-fraction"].as<double>();
  wanted.document_bytes = arguments["document-bytes"].as<std::int64_t>();
  wanted.force = arguments["force"].as<bool>();
  if (wanted.packing == Packing::packed && !arguments["sequence-length"].defaulted())
    throw UsageError("--sequence-length is for --packing document; packed files serve any length");
  return wanted;
}

/// The long part, each rank by itself: a rank that fails ends the others' work too.
void process(Communicator& world, CorpusTokenizer& corpus, const std::vector<WorkItem>& work) {
  try {
    std::int64_t total = 0, done = 0;
    for (const WorkItem& item : work) total += item.cost;
    Progress progress(total);
    for (const WorkItem& item : work) {
      const std::int64_t scale = compression_of(item.segment.path) == Compression::none ? 1 : compressed_cost;
      corpus.process(item, [&](std::int64_t consumed) {
        if (world.rank() == 0) progress.show(done + scale * consumed, corpus.counts());
      });
      done += item.cost;
    }
  } catch (const std::exception& problem) {
    log_error(problem.what());
    const int code = is_bad_input(problem) ? exit_usage : exit_failed;
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

void make_output_folder(const std::string& folder) {
  std::error_code problem;
  std::filesystem::create_directories(folder, problem);
  if (problem) throw UsageError("--output {}: cannot be made: {}", folder, problem.message());
}

/// The ranks' files, complete, under temporary names. Returns what all ranks together have written.
TokenizationCounts close_together(Communicator& world, CorpusTokenizer& corpus, double validation_fraction) {
  const std::vector<RankSummary> summaries = gather_summaries(world, corpus);
  const int holding_back = rank_holding_back(summaries, validation_fraction);
  const TokenizationCounts total = total_of(summaries);
  if (total.documents == 0)
    throw UsageError("the input holds no documents ({} empty ones)", total.empty_documents);
  together(world, [&] { corpus.close(world.rank() == holding_back); });
  return total_of(gather_summaries(world, corpus));
}

/// Gives all ranks' files their names, over those of an earlier run; what else that left goes last, so that
/// there are token files at any time. Returns how many there are now.
std::size_t publish_together(Communicator& world, CorpusTokenizer& corpus, const std::string& folder) {
  const auto paths = together(world, [&] { return corpus.publish(); });
  std::string names;
  for (const std::string& path : paths) names += last_name(path) + "\n";
  std::set<std::string> published;
  for (const std::string& list : world.all_gather(names)) {
    std::istringstream lines(list);
    for (std::string name; std::getline(lines, name);) published.insert(name);
  }
  together(world, [&] {
    if (world.rank() == 0) remove_other_token_files(folder, published);
  });
  return published.size();
}

void report(const TokenizationCounts& counts, std::size_t files, const std::string& folder, double seconds) {
  information("documents   {} ({} for validation; {} empty ones left out)", counts.documents,
              counts.validation_documents, counts.empty_documents);
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

void warn_of_one_kind(const TokenizationCounts& counts) {
  if (counts.validation_documents != 0 && counts.validation_documents != counts.documents) return;
  warning(
      "all {} documents are for {}; more blank lines in the text, or a smaller --document-bytes, give more",
      counts.documents, counts.validation_documents == 0 ? "training" : "validation");
}

int tokenize(Communicator& world, const std::vector<std::string>& words) {
  const auto start = Clock::now();
  const Arguments arguments = parse(words);
  const TokenizationOptions wanted = read_options(arguments);
  const auto tokenizer = together(world, [&] { return choose_tokenizer(arguments); });
  const auto work = together(world, [&] {
    check_options(wanted);
    return work_of_rank(plan_work(wanted), world.rank(), world.size());
  });
  together(world, [&] {
    if (world.rank() != 0) return;
    make_output_folder(wanted.output);
    remove_unfinished_files(wanted.output);
  });
  const auto corpus =
      together(world, [&] { return std::make_unique<CorpusTokenizer>(*tokenizer, wanted, world.rank()); });
  process(world, *corpus, work);
  const TokenizationCounts total = close_together(world, *corpus, wanted.validation_fraction);
  const std::size_t files = publish_together(world, *corpus, wanted.output);
  report(total, files, wanted.output, std::chrono::duration<double>(Clock::now() - start).count());
  if (world.rank() == 0) warn_of_one_kind(total);
  return exit_finished;
}

std::string printable(const std::string& text) {
  std::string shown;
  for (const char character : text) {
    const auto byte = static_cast<unsigned char>(character);
    if (character == '\n') {
      shown += "\\n";
    } else if (byte < 0x20 || byte == 0x7F) {
      shown += fmt::format("\\x{:02x}", byte);
    } else {
      shown += character;
    }
  }
  return shown;
}

void show_first_tokens(const TokenFile& file) {
  std::vector<std::int32_t> ids(static_cast<std::size_t>(std::min<std::int64_t>(file.tokens(), 16)));
  file.read(0, ids);
  fmt::print("first tokens     {}\n", fmt::join(ids, " "));
  if (file.attributes().tokenizer != "bytes") return;
  ids.resize(static_cast<std::size_t>(std::min<std::int64_t>(file.tokens(), 160)));
  file.read(0, ids);
  fmt::print("first text       {}\n", printable(make_byte_tokenizer()->decode(ids)));
}

int inspect(const std::vector<std::string>& words) {
  if (words.size() != 1) throw UsageError("usage: cola_data inspect FILE");
  if (std::filesystem::is_directory(words[0]))
    throw UsageError("{}: is a folder; name a file in it", words[0]);
  if (!std::filesystem::is_regular_file(words[0])) throw UsageError("{}: no such file", words[0]);
  const TokenFile file(words[0]);
  const auto& attributes = file.attributes();
  fmt::print("file             {} ({} bytes)\n", file.path(), std::filesystem::file_size(file.path()));
  fmt::print("tokenizer        {}\n", attributes.tokenizer);
  fmt::print("vocab_size       {}\neos_id           {}\npad_id           {}\n", attributes.vocab_size,
             attributes.eos_id, attributes.pad_id);
  fmt::print("packing          {}\n", to_string(attributes.packing));
  if (attributes.packing == Packing::document)
    fmt::print("sequence_length  {}\n", attributes.sequence_length);
  fmt::print("tokens           {} (uint{})\n", file.tokens(), 8 * file.token_bytes());
  fmt::print("documents        {} ({:.1f} tokens each)\n", file.documents(),
             static_cast<double>(file.tokens()) / static_cast<double>(file.documents()));
  const TokenFileReport checked = check_token_file(file);
  fmt::print("padding          {} tokens\n", checked.padding_tokens);
  if (!checked.problems.empty())
    throw FileError(
        "{}: {}{}", file.path(), checked.problems.front(),
        checked.problems.size() > 1 ? fmt::format(" (and {} more)", checked.problems.size() - 1) : "");
  show_first_tokens(file);
  fmt::print("checks           passed\n");
  return exit_finished;
}

/// Without a launcher MPI is not started: it takes longer than a small corpus, and on the login nodes of some
/// clusters it cannot start at all. Under one, ranks leave GPUs and network cards alone.
int tokenize_as_launched(int count, char** arguments, const std::vector<std::string>& words) {
  if (!read_launch_environment(environment_variable)) return tokenize(*make_self_communicator(), words);
  return run_on_ranks("cola_data", count, arguments, {.on_cpu = true, .bind_network = false},
                      [&](MpiSession& session) { return tokenize(session.world(), words); });
}

int run(int count, char** arguments) {
  const std::vector<std::string> words(arguments + 1, arguments + count);
  const auto asks = [&](const char* option) {
    return std::find(words.begin(), words.end(), option) != words.end();
  };
  if (asks("--help") || asks("-h")) {
    fmt::print("{}", help);
    return exit_finished;
  }
  if (asks("--version")) {
    fmt::print("cola_data {}\n", version);
    return exit_finished;
  }
  const std::string command = words.empty() ? "" : words.front();
  const std::vector<std::string> rest(words.begin() + !words.empty(), words.end());
  if (command == "inspect") return inspect(rest);
  if (command != "tokenize")
    throw UsageError("usage: cola_data tokenize ... | cola_data inspect FILE (see cola_data --help)");
  return tokenize_as_launched(count, arguments, rest);
}

}  // namespace

int main(int count, char** arguments) {
  return run_program("cola_data", [&] { return run(count, arguments); });
}
