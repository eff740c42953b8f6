#include "core/configuration_node.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <utility>

#include "core/error.h"

namespace cola {

namespace {

std::string read_whole_file(const std::string& file) {
  if (std::filesystem::is_directory(file))
    throw UsageError("{}: is a directory, not a configuration file", file);
  errno = 0;
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream content;
  if (stream && stream.peek() != std::ifstream::traits_type::eof()) content << stream.rdbuf();
  if (!stream.is_open() || stream.bad() || content.bad())
    throw UsageError("{}: cannot be read: {}", file, std::strerror(errno != 0 ? errno : EIO));
  return content.str();
}

// yaml-cpp counts lines from 0, and has -1 for none.
int line_of(const YAML::Mark& mark) {
  return std::max(mark.line, 0) + 1;
}

// Takes note of where a document begins and of nothing else.
struct DocumentStart : YAML::EventHandler {
  int line = 1;
  void OnDocumentStart(const YAML::Mark& mark) override { line = line_of(mark); }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {
  }
  void OnMapEnd() override {}
};

// The line of what follows the first document, or 0. (YAML::Load passes over it, and YAML::LoadAll never
// returns from a stray bracket.)
int line_of_second_document(const std::string& yaml) {
  std::istringstream stream(yaml);
  YAML::Parser parser(stream);
  DocumentStart start;
  return parser.HandleNextDocument(start) && parser.HandleNextDocument(start) ? start.line : 0;
}

// Whether line number `line` begins with blanks of which one is a tab.
bool is_indented_by_tab(const std::string& yaml, int line) {
  std::istringstream lines(yaml);
  std::string text;
  for (int number = 0; number < line; ++number) std::getline(lines, text);
  return text.substr(0, text.find_first_not_of(" \t")).find('\t') != std::string::npos;
}

// The cure for two mistakes that yaml-cpp's messages say little of.
std::string hint_for(const std::string& message, const std::string& yaml, int line) {
  if (is_indented_by_tab(yaml, line)) return " (a tab cannot indent YAML: use blanks)";
  if (message.find("anchor") != std::string::npos) return " (text that begins with * or & needs quotes)";
  return "";
}

}  // namespace

// Turns yaml-cpp's nodes into ours, so that yaml-cpp is known to this file alone.
class ConfigurationNode::Reader {
 public:
  Reader(std::string origin, bool command_line) : origin_(std::move(origin)), command_line_(command_line) {}

  // The only document of `yaml`; a node of kind nothing if there is none.
  ConfigurationNode read(const std::string& yaml, const std::string& path) const {
    try {
      const ConfigurationNode read = convert(YAML::Load(yaml), make(path, 1), 0);
      if (const int line = line_of_second_document(yaml); line > 0)
        make(path, line).fail("only one YAML document can be read, and another begins here");
      return read;
    } catch (const YAML::Exception& error) {
      const int line = line_of(error.mark);
      make("", line).fail(
          fmt::format("no valid YAML: {}{}", printable(error.msg), hint_for(error.msg, yaml, line)));
    }
  }

 private:
  // A file has lines; the command line has not.
  ConfigurationNode make(const std::string& path, int line) const {
    ConfigurationNode node;
    node.path_ = path;
    node.place_ = command_line_ ? origin_ : fmt::format("{}:{}", origin_, line);
    node.from_command_line_ = command_line_;
    return node;
  }

  // `node` has its place and path; kind and content are filled in.
  ConfigurationNode convert(const YAML::Node& yaml, ConfigurationNode node, int depth) const {
    const std::string tag = yaml.Tag();
    if (depth > max_depth) node.fail("is nested too deeply");
    if (!tag.empty() && tag != "?" && tag != "!")
      node.fail("YAML tags are not supported, got " + printable(tag));
    if (yaml.IsScalar()) {
      node.kind_ = Kind::scalar;
      node.scalar_ = yaml.Scalar();
      node.quoted_ = tag == "!";
    } else if (yaml.IsSequence()) {
      node.kind_ = Kind::list;
      for (const YAML::Node& item : yaml)
        node.children_.push_back(convert(item, make(node.path_, line_of(item.Mark())), depth + 1));
    } else if (yaml.IsMap()) {
      node.kind_ = Kind::mapping;
      for (const auto& member : yaml) add_member(node, member.first, member.second, depth);
    }
    return node;
  }

  // A member's place is its key's: the value may begin on another line.
  void add_member(ConfigurationNode& node, const YAML::Node& key, const YAML::Node& value, int depth) const {
    ConfigurationNode member = make(node.path_, line_of(key.Mark()));
    if (!key.IsScalar()) member.fail("a key must be a word");
    member.name_ = key.Scalar();
    member.path_ = printable(node.path_.empty() ? member.name_ : node.path_ + "." + member.name_);
    if (const ConfigurationNode* twin = node.child(member.name_))
      member.fail("is given twice, first at " + twin->place_);
    node.children_.push_back(convert(value, std::move(member), depth + 1));
  }

  static constexpr int max_depth = 4;
  std::string origin_;
  bool command_line_;
};

ConfigurationNode ConfigurationNode::from_file(const std::string& file) {
  return from_text(read_whole_file(file), file);
}

ConfigurationNode ConfigurationNode::from_text(const std::string& yaml, const std::string& origin) {
  ConfigurationNode root = Reader(origin, false).read(yaml, "");
  if (root.kind_ != Kind::mapping) root.fail_expecting("a mapping of sections");
  return root;
}

void ConfigurationNode::assign(const std::string& assignment) {
  const std::string place = "--set " + printable(assignment);
  const std::size_t equals = assignment.find('='), dot = assignment.find('.');
  if (equals == std::string::npos || dot == 0 || dot == std::string::npos || dot + 1 >= equals)
    throw UsageError("{}: expected section.key=value", place);
  const std::string path = assignment.substr(0, equals);
  const std::string section_name = path.substr(0, dot), key = path.substr(dot + 1);

  ConfigurationNode value = Reader(place, true).read(assignment.substr(equals + 1), path);
  value.name_ = key;
  if (value.kind_ == Kind::mapping) value.fail_expecting("a scalar or a list");
  ConfigurationNode* section = child(section_name);
  if (section == nullptr) {
    ConfigurationNode added = value;
    added.kind_ = Kind::mapping;
    added.name_ = added.path_ = section_name;
    added.children_.clear();
    section = &children_.emplace_back(std::move(added));
  }
  if (section->kind_ != Kind::mapping) section->fail_expecting("a mapping of keys");
  if (ConfigurationNode* present = section->child(key))
    *present = std::move(value);
  else
    section->children_.push_back(std::move(value));
}

ConfigurationNode* ConfigurationNode::child(std::string_view name) {
  if (kind_ != Kind::mapping) return nullptr;
  const auto found =
      std::find_if(children_.begin(), children_.end(),
                   [&](const ConfigurationNode& candidate) { return candidate.name_ == name; });
  return found == children_.end() ? nullptr : &*found;
}

const ConfigurationNode* ConfigurationNode::find(std::string_view path) const {
  const std::string_view name = path.substr(0, path.find('.'));
  for (const ConfigurationNode& candidate : children_) {
    if (kind_ != Kind::mapping || candidate.name_ != name) continue;
    return name.size() == path.size() ? &candidate : candidate.find(path.substr(name.size() + 1));
  }
  return nullptr;
}

void ConfigurationNode::fail(std::string_view problem) const {
  if (path_.empty() || from_command_line_) throw UsageError("{}: {}", place_, problem);
  throw UsageError("{}: {}: {}", place_, path_, problem);
}

void ConfigurationNode::fail_at(std::string_view path, std::string_view problem) const {
  if (const ConfigurationNode* node = find(path)) node->fail(problem);
  const ConfigurationNode* section = find(path.substr(0, path.find('.')));
  const bool in_file = section != nullptr && !section->from_command_line_;
  throw UsageError("{}: {}: {}", in_file ? section->place_ : place_, path, problem);
}

}  // namespace cola
