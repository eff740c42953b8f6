#include "io/checkpoint_export.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <vector>

#include "core/error.h"
#include "io/checkpoint_directory.h"
#include "io/durable_file.h"
#include "io/hdf5_file.h"

namespace cola {

namespace {

constexpr const char* manifest_name = "manifest";

std::vector<std::int64_t> logical_shape(const Parameter& parameter) {
  if (parameter.is_vector) return {parameter.columns};
  return {parameter.rows, parameter.columns};
}

// Puts each parameter's weights at its offset in the file, one at a time: models may be larger than memory.
void write_weights(CheckpointReader& reader, const std::string& path,
                   const std::vector<std::int64_t>& offsets) {
  FileDescriptor file = FileDescriptor::open_to_write(path);
  const std::vector<Parameter>& parameters = reader.manifest().parameters;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const std::vector<float> values = reader.read_tensor(parameters[i], StateTensor::weights);
    file.write_at(offsets[i], std::as_bytes(std::span(values)));
  }
  file.close();
}

std::vector<std::int64_t> lay_out_hdf5(const Manifest& manifest, const std::string& path) {
  Manifest description = manifest;
  description.shards.clear();
  Hdf5File file = Hdf5File::create(path);
  file.write_attribute("/", "format", std::string("cola weights"));
  file.write_attribute("/", "step", manifest.step);
  file.write_attribute("/", "tokens", manifest.tokens);
  file.write_text(manifest_name, to_json(description));
  std::vector<std::int64_t> offsets;
  for (const Parameter& parameter : manifest.parameters)
    offsets.push_back(file.reserve(parameter.name, logical_shape(parameter)));
  file.close();
  return offsets;
}

std::vector<std::int64_t> lay_out_safetensors(const Manifest& manifest, const std::string& path) {
  nlohmann::ordered_json header;
  header["__metadata__"] = {{"format", "pt"},
                            {"step", std::to_string(manifest.step)},
                            {"tokens", std::to_string(manifest.tokens)},
                            {"configuration", manifest.configuration}};
  std::vector<std::int64_t> offsets;
  std::int64_t end = 0;
  for (const Parameter& parameter : manifest.parameters) {
    offsets.push_back(end);
    end += parameter.elements() * static_cast<std::int64_t>(sizeof(float));
    header[parameter.name] = {
        {"dtype", "F32"}, {"shape", logical_shape(parameter)}, {"data_offsets", {offsets.back(), end}}};
  }
  std::string text = header.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  text.resize((text.size() + 7) / 8 * 8, ' ');  // so that the data begin aligned
  const std::uint64_t length = text.size();
  FileDescriptor file = FileDescriptor::create(path);
  file.write_at(0, std::as_bytes(std::span(&length, 1)));
  file.write_at(sizeof length, std::as_bytes(std::span(text)));
  file.close();
  for (std::int64_t& offset : offsets) offset += static_cast<std::int64_t>(sizeof length + text.size());
  return offsets;
}

void require_tensors(const Hdf5File& file, const std::string& input, const Manifest& like) {
  for (const Parameter& parameter : like.parameters) {
    if (!file.contains(parameter.name)) throw FileError("{}: has no tensor {}", input, parameter.name);
    const std::vector<std::int64_t> shape = file.shape(parameter.name);
    if (shape != logical_shape(parameter))
      throw FileError("{}: {} is [{}], the model needs {}", input, parameter.name, fmt::join(shape, ", "),
                      shape_text(parameter));
  }
}

// Rows of a logical tensor spread out to their stored width; padding is zero.
std::vector<float> stored_weights(const Hdf5File& file, const Parameter& parameter) {
  std::vector<float> logical(static_cast<std::size_t>(parameter.elements()));
  file.read_all(parameter.name, logical);
  std::vector<float> stored(static_cast<std::size_t>(parameter.stored_elements()));
  for (std::int64_t row = 0; row < parameter.rows; ++row)
    std::copy_n(logical.begin() + row * parameter.columns, parameter.columns,
                stored.begin() + row * parameter.stored_columns);
  return stored;
}

// Stored elements [begin, end) of the flat space, gathered from every tensor that reaches into it.
std::vector<float> flat_weights(const Hdf5File& file, const Manifest& like, std::int64_t begin,
                                std::int64_t end) {
  std::vector<float> flat(static_cast<std::size_t>(end - begin));
  for (const Parameter& parameter : like.parameters) {
    const std::int64_t offset =
        like.units[static_cast<std::size_t>(parameter.unit)].offset + parameter.offset;
    const std::int64_t first = std::max(begin, offset);
    const std::int64_t last = std::min(end, offset + parameter.stored_elements());
    if (first >= last) continue;
    const std::vector<float> stored = stored_weights(file, parameter);
    std::copy(stored.begin() + (first - offset), stored.begin() + (last - offset),
              flat.begin() + (first - begin));
  }
  return flat;
}

}  // namespace

void export_hdf5(CheckpointReader& reader, const std::string& output) {
  TemporaryFile temporary(output);
  write_weights(reader, temporary.temporary_path(),
                lay_out_hdf5(reader.manifest(), temporary.temporary_path()));
  temporary.commit();
}

void export_safetensors(CheckpointReader& reader, const std::string& output) {
  TemporaryFile temporary(output);
  write_weights(reader, temporary.temporary_path(),
                lay_out_safetensors(reader.manifest(), temporary.temporary_path()));
  temporary.commit();
}

Manifest read_export_manifest(const std::string& input) {
  const Hdf5File file = Hdf5File::open(input);
  if (!file.contains(manifest_name))
    throw FileError("{}: does not say what model it holds; --like CHECKPOINT can say it instead", input);
  return manifest_from_json(file.read_text(manifest_name), input + ": " + manifest_name);
}

std::string import_hdf5(const std::string& input, const Manifest& like, const std::string& directory,
                        int shards) {
  constexpr std::int64_t most_elements = std::int64_t{1} << 28;
  const std::int64_t total = like.total_elements();
  if (shards <= 0) shards = static_cast<int>((total + most_elements - 1) / most_elements);
  if (shards > total) throw UsageError("{} shards are more than the model has elements", shards);
  Manifest manifest = like;
  manifest.step = manifest.next_sample = manifest.tokens = 0;
  manifest.shards.clear();
  const std::string folder = directory + "/" + checkpoint_name(0);
  const Hdf5File file = Hdf5File::open(input);
  require_tensors(file, input, like);
  for (int shard = 0; shard < shards; ++shard) {
    const std::int64_t begin = total * shard / shards, end = total * (shard + 1) / shards;
    const std::vector<float> weights = flat_weights(file, like, begin, end);
    const std::vector<float> zeros(weights.size());
    manifest.shards.push_back(
        write_shard(folder, {shard, shards, {{begin, end, 0}}}, {weights, zeros, zeros}));
  }
  publish_manifest(folder, manifest);
  return folder;
}

}  // namespace cola
