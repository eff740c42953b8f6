#include "io/checkpoint_export.h"

#include <nlohmann/json.hpp>
#include <span>
#include <utility>
#include <vector>

#include "io/checksum.h"
#include "io/durable_file.h"
#include "io/exported_file.h"
#include "io/hdf5_file.h"

namespace cola {

namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

// Puts each parameter's weights at its offset in the file, one at a time: models may be larger than memory.
// Returns a line with the checksum of each.
std::string write_weights(CheckpointReader& reader, FileDescriptor& file,
                          const std::vector<std::int64_t>& offsets) {
  std::string checksums;
  const std::vector<Parameter>& parameters = reader.manifest().parameters;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const std::vector<float> values = reader.read_tensor(parameters[i], StateTensor::weights);
    const auto bytes = std::as_bytes(std::span(values));
    file.write_at(offsets[i], bytes);
    checksums += exported::checksum_line(checksum_of(bytes), parameters[i].name);
  }
  return checksums;
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
  std::size_t checksum_bytes = 0;
  for (const Parameter& parameter : manifest.parameters) {
    places.weights.push_back(file.reserve(parameter.name, exported::logical_shape(parameter)));
    checksum_bytes += exported::checksum_line(std::string(Checksum::digit_count, '0'), parameter.name).size();
  }
  places.checksums = file.reserve_text(exported::checksums_name, checksum_bytes);
  file.close();
  return places;
}

// Writes the header; returns where each parameter's weights belong.
std::vector<std::int64_t> lay_out_safetensors(const Manifest& manifest, FileDescriptor& file) {
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
    header[parameter.name] = {{"dtype", "F32"},
                              {"shape", exported::logical_shape(parameter)},
                              {"data_offsets", {offsets.back(), end}}};
  }
  std::string text = header.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  text.resize((text.size() + 7) / 8 * 8, ' ');  // so that the data begin aligned
  const std::uint64_t length = text.size();
  file.write_at(0, std::as_bytes(std::span(&length, 1)));
  file.write_at(sizeof length, bytes_of(text));
  for (std::int64_t& offset : offsets) offset += static_cast<std::int64_t>(sizeof length + text.size());
  return offsets;
}

}  // namespace

void export_hdf5(CheckpointReader& reader, const std::string& output) {
  TemporaryFile temporary(output);
  const Hdf5Places places = lay_out_hdf5(reader.manifest(), temporary.temporary_path());
  FileDescriptor file = FileDescriptor::open_to_write(temporary.temporary_path());
  const std::string checksums = write_weights(reader, file, places.weights);
  file.write_at(places.checksums, bytes_of(checksums));
  temporary.commit(std::move(file));
}

void export_safetensors(CheckpointReader& reader, const std::string& output) {
  TemporaryFile temporary(output);
  FileDescriptor file = FileDescriptor::create(temporary.temporary_path());
  write_weights(reader, file, lay_out_safetensors(reader.manifest(), file));
  temporary.commit(std::move(file));
}

}  // namespace cola
