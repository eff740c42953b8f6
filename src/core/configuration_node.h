// ConfigurationNode: a value read from YAML that knows where it was written, for loaders that accept nothing
// they do not understand. Every error is a UsageError of one line: "FILE:LINE: section.key: problem", or, for
// what the command line set, "--set section.key=value: problem".
#pragma once

#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cola {

class ConfigurationNode {
 public:
  enum class Kind { nothing, scalar, list, mapping };

  /// The mapping in a YAML file. Throws UsageError if the file cannot be read, is no YAML, holds more than
  /// one document, anything but a mapping, a key twice, or a tag.
  static ConfigurationNode from_file(const std::string& file);
  /// The same from text; `origin` stands for the file's name in messages.
  static ConfigurationNode from_text(const std::string& yaml, const std::string& origin);

  /// Sets "section.key=value", the value being a YAML scalar or list, whether or not the key is there
  /// already. Throws UsageError if the assignment or the value cannot be read.
  void assign(const std::string& assignment);

  Kind kind() const { return kind_; }
  /// The key inside its mapping; empty for the root and for items of a list.
  const std::string& name() const { return name_; }
  /// Members of a mapping or items of a list, as written.
  const std::vector<ConfigurationNode>& children() const { return children_; }
  /// The descendant at "section.key", or null.
  const ConfigurationNode* find(std::string_view path) const;

  // The value as a type, strictly: "3" is text and no number, 1e5 no whole number, only true and false are
  // booleans. Each throws UsageError saying what was expected and what is there.
  std::string text() const;
  bool boolean() const;
  /// A finite number.
  double number() const;
  /// A decimal integer without leading zeros. Defined for int, std::int64_t and std::uint64_t. `range`, what
  /// the key takes, is for the message about one that the type cannot hold.
  template <typename Integer>
  Integer whole_number(std::pair<Integer, Integer> range = {std::numeric_limits<Integer>::min(),
                                                            std::numeric_limits<Integer>::max()}) const;
  /// The items of a list; `example` shows how one is written.
  const std::vector<ConfigurationNode>& items(std::string_view example) const;

  /// Throws UsageError: this value's place, then `problem`.
  [[noreturn]] void fail(std::string_view problem) const;
  /// Called on the root, for a key that may not be there: the place is that of the nearest thing that is.
  [[noreturn]] void fail_at(std::string_view path, std::string_view problem) const;

 private:
  class Reader;

  [[noreturn]] void fail_expecting(std::string_view expected) const;
  const std::string& plain_scalar(std::string_view expected) const;
  ConfigurationNode* child(std::string_view name);

  Kind kind_ = Kind::nothing;
  std::string name_, path_;         // path: "section.key"; that of the list for its items
  std::string place_;               // "FILE:LINE" or "--set section.key=value"
  bool from_command_line_ = false;  // then the place names the key already
  bool quoted_ = false;
  std::string scalar_;
  std::vector<ConfigurationNode> children_;
};

/// Text as people can read it on one line: control characters escaped, the middle of long text left out.
std::string printable(std::string_view text);

}  // namespace cola
