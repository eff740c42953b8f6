#include "train/configuration/run_configuration.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <limits>
#include <tuple>
#include <type_traits>

#include "core/configuration_keys.h"
#include "core/configuration_node.h"
#include "io/text/utf8.h"
#include "train/configuration/other_names.h"
#include "train/configuration/run_configuration_fields.h"

namespace cola {

namespace {

std::string path_of(const Field& field) {
  return fmt::format("{}.{}", field.section, field.key);
}

// What the run will compute with: beyond a float's ends, 1e-50 would be 0 and 1e39 infinite.
double as_float(const ConfigurationNode& node, double number) {
  constexpr double largest = std::numeric_limits<float>::max();
  if (std::abs(number) > largest)
    node.fail(fmt::format("must be at most {:.3g} (single precision), got {}", largest, number));
  const double value = static_cast<float>(number);
  if (value == 0 && number != 0)
    node.fail(fmt::format("is too close to 0 for single precision, got {}", number));
  return value;
}

template <typename Number>
void require_within(const ConfigurationNode& node, Number number, const Limits& limits) {
  const double value =
      limits.is_float ? as_float(node, static_cast<double>(number)) : static_cast<double>(number);
  if (limits.above_low ? value <= limits.low : value < limits.low)
    node.fail(fmt::format("must be {} {}, got {}", limits.above_low ? "greater than" : "at least", limits.low,
                          number));
  if (limits.below_high ? value >= limits.high : value > limits.high)
    node.fail(fmt::format("must be {} {:.0f}{}, got {}", limits.below_high ? "less than" : "at most",
                          limits.high, static_cast<double>(number) == value ? "" : " in single precision",
                          number));
}

// For a message about a number that no Integer can hold.
template <typename Integer>
std::pair<Integer, Integer> whole_range(const Limits& limits) {
  using Type = std::numeric_limits<Integer>;
  return {std::isfinite(limits.low) ? static_cast<Integer>(limits.low) : Type::min(),
          std::isfinite(limits.high) ? static_cast<Integer>(limits.high) : Type::max()};
}

// Checkpoints keep the configuration as JSON, which knows no other bytes.
std::string utf8_text(const ConfigurationNode& node) {
  std::string text = node.text();
  if (!is_utf8(text)) node.fail(fmt::format("must be UTF-8, got '{}'", with_valid_utf8(printable(text))));
  return text;
}

// One overload a type of value.
void read(const ConfigurationNode& node, const Limits&, std::string& value) {
  value = utf8_text(node);
}
void read(const ConfigurationNode& node, const Limits&, std::optional<std::string>& value) {
  const std::string text = utf8_text(node);
  value = text == "none" ? std::nullopt : std::optional(text);
}
void read(const ConfigurationNode& node, const Limits&, bool& value) {
  value = node.boolean();
}
void read(const ConfigurationNode& node, const Limits& limits, double& value) {
  value = node.number();
  require_within(node, value, limits);
}
template <std::integral Integer>
void read(const ConfigurationNode& node, const Limits& limits, Integer& value) {
  value = node.whole_number<Integer>(whole_range<Integer>(limits));
  require_within(node, value, limits);
}
void read(const ConfigurationNode& node, const Limits&, std::vector<std::string>& value) {
  value.clear();
  for (const ConfigurationNode& item : node.items("[a.h5, b.h5]")) value.push_back(utf8_text(item));
  if (value.empty()) node.fail("must name at least one file");
}
void read(const ConfigurationNode& node, const Limits& limits, std::vector<double>& value) {
  value.clear();
  for (const ConfigurationNode& item : node.items("[0.7, 0.3]")) read(item, limits, value.emplace_back());
}
void read(const ConfigurationNode& node, const Limits& limits, std::tuple<double&, double&> value) {
  const auto& items = node.items("[0.9, 0.999]");
  if (items.size() != 2) node.fail(fmt::format("expected a list of two numbers, got {}", items.size()));
  read(items[0], limits, std::get<0>(value));
  read(items[1], limits, std::get<1>(value));
}
template <typename Enumeration>
requires std::is_enum_v<Enumeration>
void read(const ConfigurationNode& node, const Limits&, Enumeration& value) {
  const std::string text = node.text();
  std::string known;
  for (const auto& [word, meaning] : words<Enumeration>) {
    if (word == text) return void(value = meaning);
    known += fmt::format("{}{}", known.empty() ? "" : ", ", word);
  }
  node.fail(fmt::format("expected one of {}; got '{}'", known, printable(text)));
}

std::string write(const std::string& value) {
  return yaml_text(value);
}
std::string write(const std::optional<std::string>& value) {
  return value ? yaml_text(*value) : "none";
}
std::string write(bool value) {
  return value ? "true" : "false";
}
std::string write(double value) {
  return yaml_number(value);
}
template <std::integral Integer>
std::string write(Integer value) {
  return fmt::format("{}", value);
}
std::string write(const std::vector<std::string>& values) {
  std::string list;
  for (const std::string& value : values) list += (list.empty() ? "" : ", ") + yaml_text(value);
  return "[" + list + "]";
}
std::string write(const std::vector<double>& values) {
  std::string list;
  for (const double value : values) list += (list.empty() ? "" : ", ") + yaml_number(value);
  return "[" + list + "]";
}
std::string write(std::tuple<const double&, const double&> values) {
  return fmt::format("[{}, {}]", yaml_number(std::get<0>(values)), yaml_number(std::get<1>(values)));
}
template <typename Enumeration>
requires std::is_enum_v<Enumeration> std::string write(Enumeration value) {
  return std::string(word_of(value));
}

std::vector<std::string> known_keys() {
  std::vector<std::string> keys;
  const RunConfiguration any;
  visit_fields(any, [&](const Field& field, const auto&) { keys.push_back(path_of(field)); });
  return keys;
}

std::string default_directory(const RunSection& run) {
  return "runs/" + run.name;
}

// Defaults that follow from other keys.
void derive_defaults(const ConfigurationNode& root, RunConfiguration& configuration) {
  ModelConfiguration& model = configuration.model;
  if (root.find("run.dir") == nullptr) configuration.run.dir = default_directory(configuration.run);
  if (root.find("model.num_key_value_heads") == nullptr)
    model.num_key_value_heads = model.num_attention_heads;
  if (root.find("model.rank") == nullptr) model.rank = std::max<std::int64_t>(1, model.hidden_size / 4);
}

RunConfiguration resolve(const ConfigurationNode& root) {
  require_known_keys(root, known_keys(), other_names);
  RunConfiguration configuration;
  visit_fields(configuration, [&](const Field& field, auto&& value) {
    if (const ConfigurationNode* node = root.find(path_of(field)))
      read(*node, field.limits, value);
    else if (field.required)
      root.fail_at(path_of(field), "is required and missing");
  });
  derive_defaults(root, configuration);
  const ConfigurationProblem found = find_problem(configuration);
  if (!found.key.empty()) root.fail_at(found.key, found.problem);
  return configuration;
}

}  // namespace

RunConfiguration load_run_configuration(const std::string& path, const std::vector<std::string>& overrides) {
  ConfigurationNode root = ConfigurationNode::from_file(path);
  for (const std::string& assignment : overrides) root.assign(assignment);
  return resolve(root);
}

RunConfiguration parse_run_configuration(const std::string& yaml, const std::string& origin) {
  return resolve(ConfigurationNode::from_text(yaml, origin));
}

std::vector<Setting> settings_of(const RunConfiguration& configuration) {
  RunConfiguration resolved = configuration;
  if (resolved.run.dir.empty()) resolved.run.dir = default_directory(resolved.run);
  std::vector<Setting> settings;
  visit_fields(std::as_const(resolved), [&](const Field& field, const auto& value) {
    settings.push_back({path_of(field), write(value)});
  });
  return settings;
}

std::string to_yaml(const RunConfiguration& configuration) {
  std::string yaml, section;
  for (const Setting& setting : settings_of(configuration)) {
    const std::size_t dot = setting.key.find('.');
    if (setting.key.substr(0, dot) != section) yaml += (section = setting.key.substr(0, dot)) + ":\n";
    yaml += fmt::format("  {}: {}\n", setting.key.substr(dot + 1), setting.value);
  }
  return yaml;
}

}  // namespace cola
