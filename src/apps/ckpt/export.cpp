#include "apps/ckpt/export.h"

#include <fmt/format.h>

#include <filesystem>

#include "apps/ckpt/arguments.h"
#include "apps/common/tokenizer_choice.h"
#include "core/data_type.h"
#include "core/error.h"
#include "core/text.h"
#include "io/checkpoints/checkpoint_directory.h"
#include "io/exchange/checkpoint_export.h"
#include "io/exchange/checkpoint_import.h"
#include "io/exchange/weights_file.h"
#include "io/files/durable_file.h"
#include "train/checkpoints/described_model.h"

namespace cola {

namespace options = boost::program_options;

namespace {

// Whether a folder holds nothing, or what an export that was interrupted has left.
bool is_as_good_as_empty(const std::string& folder) {
  for (const std::string& name : names_in(folder))
    if (name != exported::safetensors_name + std::string(temporary_suffix)) return false;
  return true;
}

void require_new(const std::string& output, bool folder, bool force) {
  if (!std::filesystem::exists(output)) return;
  if (!folder && std::filesystem::is_directory(output))
    throw UsageError("{}: is a folder; name the file to be written", output);
  if (folder && !std::filesystem::is_directory(output))
    throw UsageError("{}: is a file; name the folder to be written", output);
  if (!force && !(folder && is_as_good_as_empty(output)))
    throw UsageError("{}: is there already; choose another name, or --force to replace it", output);
}

bool is_one_file(const std::string& output) {
  return output.ends_with(".safetensors");
}

std::string format_of(const CheckpointArguments& arguments, const std::string& output) {
  if (!arguments.has("format")) return is_one_file(output) ? "safetensors" : "hdf5";
  const std::string format = arguments.text("format");
  if (format != "hdf5" && format != "safetensors")
    throw UsageError("--format {}: known formats are hdf5 and safetensors", format);
  if (format == "hdf5" && is_one_file(output))
    throw UsageError("{}: its name says safetensors, which --format hdf5 does not write", output);
  return format;
}

// Of the exported weights.
DataType type_of(const CheckpointArguments& arguments, const std::string& format) {
  const std::string word = arguments.text("dtype");
  for (const DataType type : {DataType::float32, DataType::bfloat16}) {
    if (word != name_of(type)) continue;
    if (type != DataType::float32 && format == "hdf5")
      throw UsageError("--dtype {}: HDF5 has no such type; give --format safetensors as well", word);
    return type;
  }
  throw UsageError("--dtype {}: is one of fp32 and bf16", word);
}

void export_folder(CheckpointReader& reader, TokenizerChoice choice, DataType type,
                   const std::string& folder) {
  const Manifest& manifest = reader.manifest();
  const std::string trained_with = tokenizer_of(manifest);
  if (!choice.is_given()) choice.bytes = is_same_tokenizer(make_byte_tokenizer()->identity(), trained_with);
  const auto tokenizer = choice.is_given() ? make_tokenizer(choice, manifest) : nullptr;
  export_huggingface(reader, described_model(reader), type, tokenizer.get(), folder);
  if (!tokenizer)
    fmt::print("{}: without a tokenizer; --tokenizer MODEL puts it there{}\n", folder,
               trained_with.empty() ? std::string() : ": trained with " + trained_with);
}

Manifest describe_model(const CheckpointArguments& arguments, const std::string& input, bool is_own) {
  if (arguments.has("like")) {
    Manifest like = read_manifest(resolve_checkpoint(arguments.text("like")));
    like.data.reset();  // other weights may have read other text, by another tokenizer
    return like;
  }
  if (is_own) return read_manifest(input);
  return exported::is_safetensors(input) ? describe_huggingface(input) : read_export_manifest(input);
}

}  // namespace

int export_checkpoint(const std::vector<std::string>& words) {
  TokenizerChoice choice;
  options::options_description known;
  known.add_options()("format", options::value<std::string>(), "")("force", "")("no-verify", "")(
      "dtype", options::value<std::string>()->default_value("fp32"), "");
  add_tokenizer_options(known, choice);
  const CheckpointArguments arguments(words, known);
  const std::vector<std::string> given =
      arguments.paths(2, 2,
                      "export [--format hdf5|safetensors] [--dtype fp32|bf16] [--tokenizer MODEL|--bytes] "
                      "[--force] [--no-verify] DIR OUTPUT");
  const std::string format = format_of(arguments, given[1]);
  const DataType type = type_of(arguments, format);
  const bool folder = format == "safetensors" && !is_one_file(given[1]);
  if (choice.is_given() && !folder)
    throw UsageError("--tokenizer and --bytes: only a folder, of --format safetensors, holds a tokenizer");
  require_new(given[1], folder, arguments.has("force"));
  CheckpointReader reader = open_checkpoint(arguments, given[0]);
  if (format == "hdf5")
    export_hdf5(reader, given[1]);
  else if (folder)
    export_folder(reader, choice, type, given[1]);
  else
    export_safetensors(reader, type, given[1]);
  const std::string written = folder ? given[1] + "/" + exported::safetensors_name : given[1];
  fmt::print("{}: {} tensors, {}\n", written, reader.manifest().parameters.size(),
             format_bytes(std::filesystem::file_size(written)));
  return exit_finished;
}

int import_checkpoint(const std::vector<std::string>& words) {
  options::options_description known;
  known.add_options()("shards", options::value<int>()->default_value(0), "")(
      "like", options::value<std::string>(), "")("no-verify", "");
  const CheckpointArguments arguments(words, known);
  const std::vector<std::string> given =
      arguments.paths(2, 2, "import [--shards N] [--like DIR] [--no-verify] INPUT RUN_DIR");
  const int shards = arguments.number("shards");
  if (shards < 0) throw UsageError("--shards {}: must not be negative", shards);
  if (!std::filesystem::exists(given[0])) throw UsageError("{}: no such file or folder", given[0]);
  const std::string own = find_own_checkpoint(given[0]), input = own.empty() ? given[0] : own;
  const std::string made = import_weights(input, describe_model(arguments, input, !own.empty()), given[1],
                                          shards, !arguments.has("no-verify"));
  fmt::print("{}\na run starts from it with --resume {}\n", made, made);
  return exit_finished;
}

}  // namespace cola
