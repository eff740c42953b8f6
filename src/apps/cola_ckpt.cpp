// cola_ckpt: looks at checkpoints, verifies and compares them, exports and imports weights. Needs no
// launcher.
#include <fmt/format.h>

#include <boost/program_options.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "apps/program.h"
#include "apps/tokenizer_choice.h"
#include "core/error.h"
#include "core/log.h"
#include "core/text.h"
#include "core/version.h"
#include "io/checkpoint_compare.h"
#include "io/checkpoint_directory.h"
#include "io/checkpoint_export.h"
#include "io/checkpoint_reader.h"
#include "io/durable_file.h"
#include "io/exported_file.h"
#include "train/checkpoints/described_model.h"

namespace {

using namespace cola;
namespace options = boost::program_options;

constexpr const char* help =
    R"(cola_ckpt: look at checkpoints, verify and compare them, export and import weights.

  cola_ckpt list DIR                 every checkpoint of a run, finished or not, with its state
  cola_ckpt show DIR                 step, tokens, model, and the norms of every tensor and its moments
  cola_ckpt show --config DIR        the configuration the checkpoint was trained with, as YAML
  cola_ckpt verify DIR...            reads every byte against the checksums; names the file that is bad
  cola_ckpt diff A B                 compares weights and both optimizer moments, whatever the number of shards
  cola_ckpt export [--format hdf5|safetensors] [--tokenizer MODEL|--bytes] [--force] DIR OUTPUT
                                     weights by name, fp32, padding stripped, optimizer left out: as a file of HDF5
                                     (the default) or a folder for Hugging Face's tools, with model.safetensors and
                                     config.json, or that first file alone, if OUTPUT ends in .safetensors; --tokenizer
                                     puts the SentencePiece model of the training data beside them, --bytes one for
                                     bytes, as is done unasked where the checkpoint says that it was trained on bytes;
                                     --force replaces what is there
  cola_ckpt import [--shards N] [--like DIR] INPUT DIRECTORY
                                     makes DIRECTORY/step-00000000 of weights, moments zero, in N files (0, the
                                     default: as many as keep each below 2^28 elements); INPUT is exported HDF5, a
                                     .safetensors file or a folder as Hugging Face's tools save a LLaMA in; --like
                                     names a checkpoint of the same model, for files that do not say what model it is

DIR, A and B may be a step folder, a checkpoints folder or a run directory; of the latter two the newest committed
checkpoint is meant. A checkpoint is committed if its manifest.json exists.

show, diff, export and import compare what they read with its checksums first; --no-verify leaves that out.

Exit codes: 0 all well (diff: identical); 1 damaged, different, or failed; 2 a bad command line.
)";

using Arguments = options::variables_map;

std::vector<std::string> paths(const Arguments& arguments, std::size_t least, std::size_t most,
                               const std::string& usage) {
  const auto found =
      arguments.count("path") ? arguments["path"].as<std::vector<std::string>>() : std::vector<std::string>{};
  if (found.size() < least || found.size() > most) throw UsageError("usage: cola_ckpt {}", usage);
  return found;
}

CheckpointReader open_checkpoint(const Arguments& arguments, const std::string& path) {
  return CheckpointReader(resolve_checkpoint(path),
                          arguments.count("no-verify") ? ShardCheck::size : ShardCheck::checksum);
}

std::string readable_age(const std::string& path) {
  std::error_code problem;
  const auto written = std::filesystem::last_write_time(path, problem);
  if (problem) return "-";
  const auto age = std::filesystem::file_time_type::clock::now() - written;
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(age).count();
  if (seconds < 120) return fmt::format("{} s", std::max<std::int64_t>(seconds, 0));
  if (seconds < 7200) return fmt::format("{} min", seconds / 60);
  if (seconds < 172800) return fmt::format("{} h", seconds / 3600);
  return fmt::format("{} d", seconds / 86400);
}

void print_row(const std::string& step, const std::string& age, const std::string& size,
               const std::string& tokens, const std::string& shards, const std::string& status) {
  fmt::print("{:<23} {:>8} {:>11} {:>15} {:>6}  {}\n", step, age, size, tokens, shards, status);
}

void list_one(const std::string& folder) {
  const std::string name = last_name(folder);
  if (!is_committed(folder)) {
    print_row(name, readable_age(folder), "-", "-", "-", "incomplete: no manifest.json");
    return;
  }
  const std::string age = readable_age(folder + "/manifest.json"), damage = find_damage(folder);
  if (!damage.empty()) {
    print_row(name, age, "-", "-", "-", damage);
    return;
  }
  const Manifest manifest = read_manifest(folder);
  print_row(name, age, format_bytes(manifest.total_bytes()), std::to_string(manifest.tokens),
            std::to_string(manifest.shards.size()), "committed");
}

int list(const Arguments& arguments) {
  const std::string path = paths(arguments, 1, 1, "list DIR").front();
  if (!std::filesystem::is_directory(path)) throw FileError("{}: no such folder", path);
  std::vector<std::string> folders = {path}, abandoned;
  if (!is_committed(path)) {
    folders = step_folders(checkpoints_directory(path));
    abandoned = abandoned_folders(checkpoints_directory(path));
  }
  if (folders.empty() && abandoned.empty()) {
    fmt::print("{} holds no checkpoints\n", path);
    return exit_finished;
  }
  print_row("checkpoint", "age", "size", "tokens", "shards", "status");
  for (const std::string& folder : folders) list_one(folder);
  for (const std::string& folder : abandoned)
    print_row(last_name(folder), readable_age(folder), "-", "-", "-",
              "set aside: resumed from only if --resume names it");
  return exit_finished;
}

std::string model_summary(const Manifest& manifest) {
  std::int64_t elements = 0, rank = 0;
  for (const Parameter& parameter : manifest.parameters) {
    elements += parameter.elements();
    if (rank == 0 && parameter.name.ends_with(".cola_a")) rank = parameter.rows;
  }
  const Parameter& embedding = manifest.parameters.at(0);
  const std::string kind = rank > 0 ? fmt::format("CoLA of rank {}", rank) : std::string("full rank");
  return fmt::format("{}, {} layers, hidden size {}, vocabulary {}, {} parameters ({} stored)", kind,
                     manifest.units.size() - 2, embedding.columns, embedding.rows, elements,
                     manifest.total_elements());
}

void print_tensors(CheckpointReader& reader) {
  std::size_t width = 6;
  for (const Parameter& parameter : reader.manifest().parameters)
    width = std::max(width, parameter.name.size());
  fmt::print("{:<{}} {:>16} {:>13} {:>13} {:>13}\n", "tensor", width, "shape", "L2 weights", "L2 exp_avg",
             "L2 exp_avg_sq");
  for (const Parameter& parameter : reader.manifest().parameters) {
    const TensorNorms norms = tensor_norms(reader, parameter);
    fmt::print("{:<{}} {:>16} {:>13.6g} {:>13.6g} {:>13.6g}\n", parameter.name, width, shape_text(parameter),
               norms.weights, norms.exp_avg, norms.exp_avg_sq);
  }
}

int show(const Arguments& arguments) {
  CheckpointReader reader =
      open_checkpoint(arguments, paths(arguments, 1, 1, "show [--config] [--no-verify] DIR").front());
  const Manifest& manifest = reader.manifest();
  if (arguments.count("config")) {
    fmt::print("{}", manifest.configuration);
    return exit_finished;
  }
  fmt::print("checkpoint   {}\n", reader.folder());
  fmt::print("step         {}\n", manifest.step);
  fmt::print("tokens       {}\n", manifest.tokens);
  fmt::print("next sample  {}\n", manifest.next_sample);
  fmt::print("seed         {}\n", manifest.seed);
  fmt::print("model        {}\n", model_summary(manifest));
  fmt::print("shards       {} ({})\n\n", manifest.shards.size(), format_bytes(manifest.total_bytes()));
  print_tensors(reader);
  return exit_finished;
}

int verify(const Arguments& arguments) {
  int code = exit_finished;
  for (const std::string& path : paths(arguments, 1, SIZE_MAX, "verify DIR...")) {
    try {
      const std::string folder = resolve_checkpoint(path);
      verify_checkpoint(folder);
      const Manifest manifest = read_manifest(folder);
      fmt::print("{}: good: {} shards, {}\n", folder, manifest.shards.size(),
                 format_bytes(manifest.total_bytes()));
    } catch (const FileError& damage) {
      log_error(damage.what());
      code = exit_failed;
    }
  }
  return code;
}

int diff(const Arguments& arguments) {
  const std::vector<std::string> both = paths(arguments, 2, 2, "diff [--no-verify] A B");
  CheckpointReader a = open_checkpoint(arguments, both[0]), b = open_checkpoint(arguments, both[1]);
  const std::vector<TensorDifference> differences = compare_checkpoints(a, b);
  for (const TensorDifference& difference : differences) {
    if (!difference.reason.empty())
      fmt::print("{}: {}\n", difference.name, difference.reason);
    else
      fmt::print("{} {}: {} elements differ, by up to {:.9g}\n", difference.name, name_of(difference.tensor),
                 difference.elements, difference.max_difference);
  }
  if (!differences.empty()) return exit_failed;
  fmt::print("identical: {} tensors and their moments, at steps {} and {}\n", a.manifest().parameters.size(),
             a.manifest().step, b.manifest().step);
  return exit_finished;
}

void require_new(const std::string& output, bool folder, bool force) {
  if (!std::filesystem::exists(output)) return;
  if (!folder && std::filesystem::is_directory(output))
    throw UsageError("{}: is a folder; name the file to be written", output);
  if (folder && !std::filesystem::is_directory(output))
    throw UsageError("{}: is a file; name the folder to be written", output);
  if (!force) throw UsageError("{}: is there already; choose another name, or --force to replace it", output);
}

TokenizerChoice tokenizer_choice(const Arguments& arguments) {
  return {arguments.count("tokenizer") ? arguments["tokenizer"].as<std::string>() : std::string(),
          arguments.count("bytes") > 0};
}

void export_folder(CheckpointReader& reader, TokenizerChoice choice, const std::string& folder) {
  const Manifest& manifest = reader.manifest();
  const std::string trained_with = tokenizer_of(manifest);
  if (!choice.is_given()) choice.bytes = is_same_tokenizer(make_byte_tokenizer()->identity(), trained_with);
  const auto tokenizer = choice.is_given() ? make_tokenizer(choice, manifest) : nullptr;
  export_huggingface(reader, described_model(reader), tokenizer.get(), folder);
  if (!tokenizer)
    fmt::print("{}: without a tokenizer; --tokenizer MODEL puts it there{}\n", folder,
               trained_with.empty() ? std::string() : ": trained with " + trained_with);
}

int export_checkpoint(const Arguments& arguments) {
  const std::vector<std::string> given = paths(
      arguments, 2, 2,
      "export [--format hdf5|safetensors] [--tokenizer MODEL|--bytes] [--force] [--no-verify] DIR OUTPUT");
  const std::string format = arguments["format"].as<std::string>();
  if (format != "hdf5" && format != "safetensors")
    throw UsageError("--format {}: known formats are hdf5 and safetensors", format);
  const bool folder = format == "safetensors" && !given[1].ends_with(".safetensors");
  const TokenizerChoice choice = tokenizer_choice(arguments);
  if (choice.is_given() && !folder)
    throw UsageError("--tokenizer and --bytes: only a folder, of --format safetensors, holds a tokenizer");
  require_new(given[1], folder, arguments.count("force") > 0);
  CheckpointReader reader = open_checkpoint(arguments, given[0]);
  if (format == "hdf5")
    export_hdf5(reader, given[1]);
  else if (folder)
    export_folder(reader, choice, given[1]);
  else
    export_safetensors(reader, given[1]);
  const std::string written = folder ? given[1] + "/" + exported::safetensors_name : given[1];
  fmt::print("{}: {} tensors, {}\n", written, reader.manifest().parameters.size(),
             format_bytes(std::filesystem::file_size(written)));
  return exit_finished;
}

Manifest describe_model(const Arguments& arguments, const std::string& input) {
  if (arguments.count("like")) {
    Manifest like = read_manifest(resolve_checkpoint(arguments["like"].as<std::string>()));
    like.data.reset();  // other weights may have read other text, by another tokenizer
    return like;
  }
  return exported::is_safetensors(input) ? describe_huggingface(input) : read_export_manifest(input);
}

int import_checkpoint(const Arguments& arguments) {
  const std::vector<std::string> given =
      paths(arguments, 2, 2, "import [--shards N] [--like DIR] [--no-verify] INPUT DIRECTORY");
  const int shards = arguments["shards"].as<int>();
  if (shards < 0) throw UsageError("--shards {}: must not be negative", shards);
  const std::string made = import_weights(given[0], describe_model(arguments, given[0]), given[1], shards,
                                          !arguments.count("no-verify"));
  fmt::print("{}\na run starts from it with --resume {}\n", made, made);
  return exit_finished;
}

struct Command {
  std::function<int(const Arguments&)> run;
  options::options_description known;
};

std::map<std::string, Command> commands() {
  const auto with = [](auto... add) {
    options::options_description known;
    (add(known.add_options()), ...);
    return known;
  };
  const auto config = [](auto known) { known("config", ""); };
  const auto no_verify = [](auto known) { known("no-verify", ""); };
  const auto output = [](auto known) {
    known("format", options::value<std::string>()->default_value("hdf5"), "")("force", "")(
        "tokenizer", options::value<std::string>(), "")("bytes", "");
  };
  const auto model = [](auto known) {
    known("shards", options::value<int>()->default_value(0), "")("like", options::value<std::string>(), "");
  };
  return {{"list", {list, with()}},
          {"show", {show, with(config, no_verify)}},
          {"verify", {verify, with()}},
          {"diff", {diff, with(no_verify)}},
          {"export", {export_checkpoint, with(output, no_verify)}},
          {"import", {import_checkpoint, with(model, no_verify)}}};
}

Arguments parse(const Command& command, const std::vector<std::string>& words) {
  options::options_description known = command.known;
  known.add_options()("path", options::value<std::vector<std::string>>(), "");
  return parse_words("cola_ckpt", words, known, options::positional_options_description().add("path", -1));
}

int run(const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    if (word != "--help" && word != "-h" && word != "--version") continue;
    fmt::print("{}", word == "--version" ? fmt::format("cola_ckpt {}\n", version) : help);
    return exit_finished;
  }
  if (words.empty())
    throw UsageError("usage: cola_ckpt list|show|verify|diff|export|import ... (see cola_ckpt --help)");
  const auto known = commands();
  const auto command = known.find(words.front());
  if (command == known.end())
    throw UsageError("{}: no such command; there are list, show, verify, diff, export and import",
                     words.front());
  return command->second.run(parse(command->second, {words.begin() + 1, words.end()}));
}

}  // namespace

int main(int count, char** words) {
  return run_program("cola_ckpt", [&] { return unless_output_failed(run({words + 1, words + count})); });
}
