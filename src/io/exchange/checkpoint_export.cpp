#include "io/exchange/checkpoint_export.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "core/error.h"
#include "io/exchange/huggingface_configuration.h"
#include "io/exchange/huggingface_tokenizer.h"
#include "io/exchange/modeling_cola.h"
#include "io/exchange/safetensors_file.h"
#include "io/exchange/weights_file.h"
#include "io/files/checksum.h"
#include "io/files/durable_file.h"
#include "io/files/hdf5_file.h"

namespace cola {

namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

// Writes them as bfloat16, and leaves in `values` what was written.
void write_rounded(std::vector<float>& values, FileDescriptor& file, std::int64_t offset) {
  const std::vector<bfloat16> rounded(values.begin(), values.end());
  file.write_at(offset, std::as_bytes(std::span(rounded)));
  std::transform(rounded.begin(), rounded.end(), values.begin(),
                 [](bfloat16 value) { return static_cast<float>(value); });
}

// Puts each parameter's weights at its offset in the file, one at a time: models may be larger than memory.
// Returns a line with the checksum of each, of the values that a reader gets.
std::string write_weights(CheckpointReader& reader, DataType type, FileDescriptor& file,
                          const std::vector<std::int64_t>& offsets) {
  std::string checksums;
  const std::vector<Parameter>& parameters = reader.manifest().parameters;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    std::vector<float> values = reader.read_tensor(parameters[i], StateTensor::weights);
    const auto bytes = std::as_bytes(std::span(values));
    if (type == DataType::bfloat16)
      write_rounded(values, file, offsets[i]);
    else
      file.write_at(offsets[i], bytes);
    checksums += exported::checksum_line(checksum_of(bytes), parameters[i].name);
  }
  return checksums;
}

// As long as the lines of all tensors will be.
std::string unknown_checksums(const Manifest& manifest) {
  std::string lines;
  for (const Parameter& parameter : manifest.parameters)
    lines += exported::checksum_line(std::string(Checksum::digit_count, '0'), parameter.name);
  return lines;
}

struct Hdf5Places {
  std::vector<std::int64_t> weights;
  std::int64_t checksums = 0;
};

Hdf5Places lay_out_hdf5(const Manifest& manifest, const std::string& path) {
  Manifest description = manifest;
  description.shards.clear();
  Hdf5File file = Hdf5File::create(path);
  file.write_attribute("/", "format", std::string("cola weights"));
  file.write_attribute("/", "step", manifest.step);
  file.write_attribute("/", "tokens", manifest.tokens);
  file.write_text(exported::manifest_name, to_json(description));
  Hdf5Places places;
  for (const Parameter& parameter : manifest.parameters)
    places.weights.push_back(file.reserve(parameter.name, exported::logical_shape(parameter)));
  places.checksums = file.reserve_text(exported::checksums_name, unknown_checksums(manifest).size());
  file.close();
  return places;
}

// The small files beside the weights; the last one makes the folder a model.
std::vector<NamedText> describing_files(const ModelConfiguration& configuration, DataType type,
                                        const Tokenizer* tokenizer) {
  std::vector<NamedText> files;
  std::optional<std::int64_t> eos_id;
  if (configuration.projection == ProjectionKind::cola)
    files.push_back({exported::cola_model_name, modeling_cola});
  if (tokenizer) {
    if (tokenizer->vocab_size() > configuration.vocab_size)
      throw UsageError("{}: has {} ids, more than the model's vocab_size of {}", tokenizer->identity(),
                       tokenizer->vocab_size(), configuration.vocab_size);
    for (NamedText& file : huggingface_tokenizer_files(*tokenizer, configuration.max_position_embeddings))
      files.push_back(std::move(file));
    files.push_back(huggingface_generation_file(*tokenizer));
    eos_id = tokenizer->eos_id();
  }
  files.push_back({exported::configuration_name, to_huggingface_json(configuration, type, eos_id)});
  return files;
}

}  // namespace

void export_hdf5(CheckpointReader& reader, const std::string& output) {
  TemporaryFile temporary(output);
  const Hdf5Places places = lay_out_hdf5(reader.manifest(), temporary.temporary_path());
  FileDescriptor file = FileDescriptor::open_to_write(temporary.temporary_path());
  const std::string checksums = write_weights(reader, DataType::float32, file, places.weights);
  file.write_at(places.checksums, bytes_of(checksums));
  temporary.commit(std::move(file));
}

void export_safetensors(CheckpointReader& reader, DataType type, const std::string& output) {
  TemporaryFile temporary(output);
  FileDescriptor file = FileDescriptor::create(temporary.temporary_path());
  const Manifest& manifest = reader.manifest();
  std::vector<std::int64_t> offsets;
  safetensors_header(manifest, type, unknown_checksums(manifest), &offsets);
  const std::string checksums = write_weights(reader, type, file, offsets);
  file.write_at(0, bytes_of(safetensors_header(manifest, type, checksums)));
  temporary.commit(std::move(file));
}

void export_huggingface(CheckpointReader& reader, const ModelConfiguration& configuration, DataType type,
                        const Tokenizer* tokenizer, const std::string& folder) {
  const std::vector<NamedText> files = describing_files(configuration, type, tokenizer);
  const bool is_new = !std::filesystem::exists(folder);
  try {
    make_durable_folder(folder);
    // What described other weights would be believed of these: another model's tokenizer, or all of it should
    // this export not come to its end.
    for (const char* name : exported::describing_names) std::filesystem::remove(folder + "/" + name);
    for (const char* name : exported::other_tokenizer_names) std::filesystem::remove(folder + "/" + name);
    export_safetensors(reader, type, folder + "/" + exported::safetensors_name);
    for (const NamedText& file : files) write_file(folder + "/" + file.name, file.text);
  } catch (const Error&) {
    std::error_code ignored;
    if (is_new) std::filesystem::remove_all(folder, ignored);
    throw;
  }
}

}  // namespace cola
