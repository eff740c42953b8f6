#include "io/checkpoints/manifest.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string_view>

#include "core/error.h"
#include "io/files/checksum.h"
#include "io/text/json_text.h"

namespace cola {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view format_name = "cola checkpoint";
constexpr int format_version = 1;
constexpr std::string_view checksum_key = ",\n  \"checksum\": \"";
constexpr std::string_view closing = "\"\n}\n";

// A list with one entry a line: a manifest is also read by people.
std::string dump_lines(const std::vector<Json>& entries) {
  std::string text = "[";
  for (std::size_t i = 0; i < entries.size(); ++i)
    text += std::string(i == 0 ? "" : ",") + "\n    " + json_text(entries[i]);
  return text + (entries.empty() ? "]" : "\n  ]");
}

template <typename Value, typename Describe>
std::vector<Json> map_to_json(const std::vector<Value>& values, Describe describe) {
  std::vector<Json> result;
  std::transform(values.begin(), values.end(), std::back_inserter(result), describe);
  return result;
}

std::vector<Json> split_lines(const std::string& text) {
  std::vector<Json> lines;
  std::size_t begin = 0;
  for (std::size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1)
    lines.push_back(text.substr(begin, end - begin));
  lines.push_back(text.substr(begin));
  return lines;
}

std::string join_lines(const std::vector<std::string>& lines) {
  std::string text;
  for (std::size_t i = 0; i < lines.size(); ++i) text += (i == 0 ? "" : "\n") + lines[i];
  return text;
}

// A vector has a shape of one dimension.
Json shape_to_json(bool is_vector, std::int64_t rows, std::int64_t columns) {
  return is_vector ? Json::array({columns}) : Json::array({rows, columns});
}

Json parameter_to_json(const Parameter& parameter) {
  return {
      {"name", parameter.name},
      {"shape", shape_to_json(parameter.is_vector, parameter.rows, parameter.columns)},
      {"stored_shape", shape_to_json(parameter.is_vector, parameter.stored_rows, parameter.stored_columns)},
      {"unit", parameter.unit},
      {"offset", parameter.offset},
      {"standard_deviation", parameter.standard_deviation}};
}

Parameter parameter_from_json(const Json& json) {
  Parameter parameter;
  const auto shape = json.at("shape").get<std::vector<std::int64_t>>();
  const auto stored_shape = json.at("stored_shape").get<std::vector<std::int64_t>>();
  if (shape.empty() || shape.size() > 2 || stored_shape.size() != shape.size())
    throw Error("a tensor has one or two dimensions");
  parameter.name = json.at("name").get<std::string>();
  parameter.is_vector = shape.size() == 1;
  parameter.rows = parameter.is_vector ? 1 : shape[0];
  parameter.columns = shape.back();
  parameter.stored_rows = parameter.is_vector ? 1 : stored_shape[0];
  parameter.stored_columns = stored_shape.back();
  parameter.unit = json.at("unit").get<int>();
  parameter.offset = json.at("offset").get<std::int64_t>();
  parameter.standard_deviation = json.at("standard_deviation").get<double>();
  return parameter;
}

Json unit_to_json(const Unit& unit) {
  return {{"name", unit.name},
          {"offset", unit.offset},
          {"elements", unit.elements},
          {"first_parameter", unit.first_parameter},
          {"last_parameter", unit.last_parameter}};
}

Unit unit_from_json(const Json& json) {
  return {json.at("name").get<std::string>(), json.at("offset").get<std::int64_t>(),
          json.at("elements").get<std::int64_t>(), json.at("first_parameter").get<int>(),
          json.at("last_parameter").get<int>()};
}

Json shard_to_json(const ShardRecord& shard) {
  Json ranges = Json::array();
  for (const ShardRange& range : shard.ranges)
    ranges.push_back(Json::array({range.begin, range.end, range.local}));
  Json datasets = Json::object();
  for (const StateTensor tensor : all_state_tensors) {
    const DatasetRecord& data = shard.datasets[static_cast<std::size_t>(tensor)];
    datasets[name_of(tensor)] = {{"offset", data.offset}, {"bytes", data.bytes}, {"checksum", data.checksum}};
  }
  return {{"file", shard.file},
          {"bytes", shard.bytes},
          {"checksum", shard.checksum},
          {"datasets", datasets},
          {"ranges", ranges}};
}

ShardRecord shard_from_json(const Json& json) {
  ShardRecord shard;
  shard.file = json.at("file").get<std::string>();
  shard.bytes = json.at("bytes").get<std::uint64_t>();
  shard.checksum = json.at("checksum").get<std::string>();
  for (const Json& range : json.at("ranges"))
    shard.ranges.push_back(
        {range.at(0).get<std::int64_t>(), range.at(1).get<std::int64_t>(), range.at(2).get<std::int64_t>()});
  if (const auto datasets = json.find("datasets"); datasets != json.end())
    for (const StateTensor tensor : all_state_tensors) {
      const Json& data = datasets->at(name_of(tensor));
      shard.datasets[static_cast<std::size_t>(tensor)] = {data.at("offset").get<std::int64_t>(),
                                                          data.at("bytes").get<std::int64_t>(),
                                                          data.at("checksum").get<std::string>()};
    }
  // A manifest must not lead a reader out of its own folder.
  if (std::filesystem::path(shard.file).filename() != shard.file)
    throw Error("{} is no file name", shard.file);
  return shard;
}

Json data_to_json(const DataRecord& data) {
  Json json = {{"files", data.files},
               {"tokens", data.tokens},
               {"samples", data.samples},
               {"tokenizer", data.tokenizer},
               {"checksum", data.checksum}};
  for (const CorpusRecord& corpus : data.corpora)
    json["corpora"].push_back({{"files", corpus.files}, {"parts", corpus.parts}});
  return json;
}

DataRecord data_from_json(const Json& json) {
  DataRecord data{json.at("files").get<std::int64_t>(), json.at("tokens").get<std::int64_t>(),
                  json.at("samples").get<std::int64_t>(), json.at("tokenizer").get<std::string>(),
                  json.at("checksum").get<std::string>()};
  if (const auto corpora = json.find("corpora"); corpora != json.end())
    for (const Json& corpus : *corpora)
      data.corpora.push_back(
          {corpus.at("files").get<std::int64_t>(), corpus.at("parts").get<std::int64_t>()});
  return data;
}

template <typename Convert>
auto list_from_json(const Json& json, Convert convert) {
  std::vector<decltype(convert(json))> result;
  for (const Json& entry : json) result.push_back(convert(entry));
  return result;
}

Manifest manifest_from_fields(const Json& json) {
  Manifest manifest;
  manifest.step = json.at("step").get<std::int64_t>();
  manifest.next_sample = json.at("next_sample").get<std::int64_t>();
  manifest.tokens = json.at("tokens").get<std::int64_t>();
  manifest.seed = json.at("seed").get<std::uint64_t>();
  manifest.configuration = join_lines(json.at("configuration").get<std::vector<std::string>>());
  manifest.parameters = list_from_json(json.at("parameters"), parameter_from_json);
  manifest.units = list_from_json(json.at("units"), unit_from_json);
  manifest.shards = list_from_json(json.at("shards"), shard_from_json);
  if (const auto data = json.find("data"); data != json.end()) manifest.data = data_from_json(*data);
  return manifest;
}

// Everything else relies on tensors lying inside their units.
void require_consistent_parameters(const Manifest& manifest) {
  for (const Parameter& parameter : manifest.parameters) {
    if (parameter.unit < 0 || parameter.unit >= static_cast<int>(manifest.units.size()))
      throw Error("{} is in no unit", parameter.name);
    const Unit& unit = manifest.units[static_cast<std::size_t>(parameter.unit)];
    const bool fits = parameter.rows >= 1 && parameter.columns >= 1 &&
                      parameter.stored_rows >= parameter.rows &&
                      parameter.stored_columns >= parameter.columns && parameter.offset >= 0 &&
                      parameter.offset + parameter.stored_elements() <= unit.elements;
    if (!fits) throw Error("{} does not fit into its unit {}", parameter.name, unit.name);
  }
}

// The text before the checksum, after every byte of `json` was accounted for.
std::string_view checked_text(const std::string& json, const std::string& origin) {
  const std::size_t tail = checksum_key.size() + Checksum::digit_count + closing.size();
  if (json.size() < tail || !std::string_view(json).ends_with(closing))
    throw FileError("{}: no manifest of a checkpoint, or cut short", origin);
  const std::string_view text = std::string_view(json).substr(0, json.size() - tail);
  const std::string_view key = std::string_view(json).substr(text.size(), checksum_key.size());
  const std::string_view digits =
      std::string_view(json).substr(text.size() + checksum_key.size(), Checksum::digit_count);
  if (key != checksum_key || digits != checksum_of(text))
    throw FileError("{}: damaged: its checksum does not match its text", origin);
  return text;
}

}  // namespace

std::string to_json(const ShardRecord& shard) {
  return json_text(shard_to_json(shard));
}

ShardRecord shard_record_from_json(const std::string& json) {
  return shard_from_json(Json::parse(json));
}

std::string to_json(const Manifest& manifest) {
  std::string text = "{";
  const auto field = [&text](std::string_view name, const std::string& value) {
    text += fmt::format("{}\n  \"{}\": {}", text.size() > 1 ? "," : "", name, value);
  };
  field("format", json_text(format_name));
  field("format_version", json_text(format_version));
  field("step", json_text(manifest.step));
  field("next_sample", json_text(manifest.next_sample));
  field("tokens", json_text(manifest.tokens));
  field("seed", json_text(manifest.seed));
  if (manifest.data) field("data", json_text(data_to_json(*manifest.data)));
  field("configuration", dump_lines(split_lines(manifest.configuration)));
  field("parameters", dump_lines(map_to_json(manifest.parameters, parameter_to_json)));
  field("units", dump_lines(map_to_json(manifest.units, unit_to_json)));
  field("shards", dump_lines(map_to_json(manifest.shards, shard_to_json)));
  return text + std::string(checksum_key) + checksum_of(text) + std::string(closing);
}

Manifest manifest_from_json(const std::string& json, const std::string& origin) {
  checked_text(json, origin);
  try {
    const Json fields = Json::parse(json);
    if (fields.at("format").get<std::string>() != format_name) throw Error("not a {}", format_name);
    const int version = fields.at("format_version").get<int>();
    if (version != format_version)
      throw Error("format version {}, this program reads {}", version, format_version);
    Manifest manifest = manifest_from_fields(fields);
    require_consistent_parameters(manifest);
    return manifest;
  } catch (const std::exception& problem) {
    throw FileError("{}: no usable manifest: {}", origin, problem.what());
  }
}

}  // namespace cola
