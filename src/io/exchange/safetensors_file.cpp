#include "io/exchange/safetensors_file.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/error.h"
#include "io/text/json_text.h"

namespace cola {

namespace {

static_assert(std::endian::native == std::endian::little, "values are taken as they lie in the file");

using Json = nlohmann::json;

constexpr std::int64_t length_bytes = 8;
constexpr std::int64_t longest_header = 100'000'000;  // what Hugging Face's own reader takes
constexpr std::uint64_t largest_size = std::numeric_limits<std::int64_t>::max();
constexpr const char* metadata_name = "__metadata__";

float from_bfloat16(std::uint16_t bits) {
  return static_cast<float>(std::bit_cast<bfloat16>(bits));
}

float from_float16(std::uint16_t bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16;
  const std::uint32_t exponent = (bits >> 10) & 31u, fraction = bits & 1023u;
  if (exponent == 0) return std::copysign(std::ldexp(static_cast<float>(fraction), -24), sign ? -1.0f : 1.0f);
  const std::uint32_t widened = exponent == 31 ? 255u : exponent + 112u;
  return std::bit_cast<float>(sign | widened << 23 | fraction << 13);
}

// Bytes of an element; 0 for a type that is not known.
std::int64_t element_bytes(const std::string& type) {
  return type == "F32" ? 4 : type == "BF16" || type == "F16" ? 2 : 0;
}

std::string read_header(const FileDescriptor& file, const std::string& path) {
  std::uint64_t length = 0;
  if (file.bytes() < length_bytes)
    throw FileError("{}: is no safetensors file: it has {} bytes", path, file.bytes());
  file.read_at(0, std::as_writable_bytes(std::span(&length, 1)));
  if (length > static_cast<std::uint64_t>(std::min(longest_header, file.bytes() - length_bytes)))
    throw FileError("{}: is no safetensors file, or was cut short: a header of {} bytes in a file of {}",
                    path, length, file.bytes());
  std::string text(length, '\0');
  file.read_at(length_bytes, std::as_writable_bytes(std::span(text)));
  return text;
}

// A list of whole numbers from 0.
std::vector<std::int64_t> sizes_in(const Json& entry, const char* key) {
  std::vector<std::int64_t> sizes;
  if (!entry.contains(key) || !entry[key].is_array()) throw FileError("has no list {}", key);
  for (const Json& size : entry[key]) {
    if (!size.is_number_unsigned() || size.get<std::uint64_t>() > largest_size)
      throw FileError("{} holds {}, which is no size", key, json_text(size));
    sizes.push_back(size.get<std::int64_t>());
  }
  return sizes;
}

// A text of the metadata; empty where there is none.
std::string text_in(const Json& header, const char* key) {
  const Json metadata = header.value(metadata_name, Json());
  const Json text = metadata.is_object() ? metadata.value(key, Json()) : Json();
  return text.is_string() ? text.get<std::string>() : std::string();
}

// Bytes of all elements; throws where they are more than any file has.
std::int64_t bytes_of(const std::vector<std::int64_t>& shape, std::int64_t element) {
  std::int64_t bytes = element;
  for (const std::int64_t size : shape)
    if (__builtin_mul_overflow(bytes, size, &bytes)) throw FileError("its shape is larger than any file");
  return bytes;
}

}  // namespace

SafetensorsFile::Tensor SafetensorsFile::read_entry(const Json& entry, std::int64_t data_bytes) {
  if (!entry.is_object()) throw FileError("is no JSON object");
  const Json type = entry.value("dtype", Json());
  Tensor tensor{type.is_string() ? type.get<std::string>() : json_text(type), sizes_in(entry, "shape")};
  const std::int64_t element = element_bytes(tensor.type);
  if (element == 0) throw FileError("has dtype {}; F32, BF16 and F16 can be read", tensor.type);
  const std::vector<std::int64_t> place = sizes_in(entry, "data_offsets");
  if (place.size() != 2 || place[0] > place[1] || place[1] > data_bytes)
    throw FileError("its data_offsets {} do not lie in the {} bytes of data",
                    json_text(entry["data_offsets"]), data_bytes);
  if (place[1] - place[0] != bytes_of(tensor.shape, element))
    throw FileError("its data_offsets {} do not hold {} of {}", json_text(entry["data_offsets"]),
                    json_text(entry["shape"]), tensor.type);
  tensor.begin = place[0];
  tensor.end = place[1];
  return tensor;
}

SafetensorsFile::SafetensorsFile(const std::string& path)
    : path_(path), file_(FileDescriptor::open_to_read(path)) {
  const std::string text = read_header(file_, path);
  const Json header = parse_foreign_json(text);
  if (!header.is_object()) throw FileError("{}: is no safetensors file: its header is no JSON object", path);
  data_begin_ = length_bytes + static_cast<std::int64_t>(text.size());
  const std::int64_t data_bytes = file_.bytes() - data_begin_;
  for (const auto& [name, entry] : header.items()) {
    if (name == metadata_name) continue;
    try {
      tensors_.emplace(name, read_entry(entry, data_bytes));
    } catch (const FileError& problem) {
      throw FileError("{}: {}: {}", path, name, problem.what());
    }
  }
  require_seamless(data_bytes);
  checksums_ = text_in(header, exported::checksums_name);
}

// The format wants it, so a gap or an overlap is damage.
void SafetensorsFile::require_seamless(std::int64_t data_bytes) const {
  std::vector<std::pair<std::string, Tensor>> in_order(tensors_.begin(), tensors_.end());
  std::sort(in_order.begin(), in_order.end(), [](const auto& a, const auto& b) {
    return std::pair(a.second.begin, a.second.end) < std::pair(b.second.begin, b.second.end);
  });
  std::int64_t end = 0;
  for (const auto& [name, tensor] : in_order) {
    if (tensor.begin < end) throw FileError("{}: {}: its data_offsets overlap another tensor's", path_, name);
    if (tensor.begin > end)
      throw FileError("{}: {}: the {} bytes before it belong to no tensor", path_, name, tensor.begin - end);
    end = tensor.end;
  }
  if (end != data_bytes)
    throw FileError("{}: its last {} bytes belong to no tensor", path_, data_bytes - end);
}

std::vector<std::string> SafetensorsFile::names() const {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors_) names.push_back(name);
  return names;
}

const SafetensorsFile::Tensor& SafetensorsFile::find(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) throw FileError("{}: has no tensor {}", path_, name);
  return found->second;
}

void SafetensorsFile::read(const std::string& name, std::span<float> values) const {
  const Tensor& tensor = find(name);
  const std::int64_t elements = (tensor.end - tensor.begin) / element_bytes(tensor.type);
  if (elements != static_cast<std::int64_t>(values.size()))
    throw FileError("{}: {} holds {} elements, not {}", path_, name, elements, values.size());
  if (tensor.type == "F32") return file_.read_at(data_begin_ + tensor.begin, std::as_writable_bytes(values));
  std::vector<std::uint16_t> halves(values.size());
  file_.read_at(data_begin_ + tensor.begin, std::as_writable_bytes(std::span(halves)));
  std::transform(halves.begin(), halves.end(), values.begin(),
                 tensor.type == "F16" ? from_float16 : from_bfloat16);
}

std::string safetensors_header(const Manifest& manifest, DataType type, const std::string& checksums,
                               std::vector<std::int64_t>* offsets) {
  nlohmann::ordered_json header;
  header[metadata_name] = {{"format", "pt"},
                           {"step", std::to_string(manifest.step)},
                           {"tokens", std::to_string(manifest.tokens)},
                           {"configuration", manifest.configuration},
                           {exported::checksums_name, checksums}};
  std::vector<std::int64_t> begins;
  std::int64_t end = 0;
  for (const Parameter& parameter : manifest.parameters) {
    begins.push_back(end);
    end += parameter.elements() * static_cast<std::int64_t>(size_of(type));
    header[parameter.name] = {{"dtype", type == DataType::bfloat16 ? "BF16" : "F32"},
                              {"shape", exported::logical_shape(parameter)},
                              {"data_offsets", {begins.back(), end}}};
  }
  std::string text = json_text(header);
  text.resize((text.size() + 7) / 8 * 8, ' ');  // so that the data begin aligned
  const std::uint64_t length = text.size();
  std::string whole(sizeof length, '\0');
  std::memcpy(whole.data(), &length, sizeof length);
  whole += text;
  if (offsets) {
    *offsets = std::move(begins);
    for (std::int64_t& offset : *offsets) offset += static_cast<std::int64_t>(whole.size());
  }
  return whole;
}

}  // namespace cola
