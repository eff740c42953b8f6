#include "apps/common/command_line.h"

#include <fmt/core.h>

#include <iostream>

#include "core/error.h"
#include "core/version.h"

namespace cola {

namespace options = boost::program_options;

options::variables_map parse_words(const std::string& program, const std::vector<std::string>& words,
                                   const options::options_description& description,
                                   const options::positional_options_description& positional) {
  using Style = options::command_line_style::style_t;
  constexpr int exact_style = Style::unix_style & ~Style::allow_guessing;
  try {
    options::variables_map values;
    options::command_line_parser parser(words);
    options::store(parser.options(description).style(exact_style).positional(positional).run(), values);
    options::notify(values);
    return values;
  } catch (const options::error& error) {
    throw UsageError("{} (see {} --help)", error.what(), program);
  }
}

options::variables_map parse_command_line(const std::string& program, int count, char** arguments,
                                          const options::options_description& description,
                                          const options::positional_options_description& positional) {
  return parse_words(program, {arguments + 1, arguments + count}, description, positional);
}

options::variables_map parse_command_line(const std::string& program, int count, char** arguments,
                                          const options::options_description& description,
                                          std::string& command) {
  options::options_description all;
  all.add(description).add_options()("command", options::value(&command));
  options::positional_options_description positional;
  return parse_command_line(program, count, arguments, all, positional.add("command", 1));
}

void add_common_options(options::options_description& description, CommonOptions& common) {
  auto add = description.add_options();
  add("version", options::bool_switch(&common.version), "prints the version and ends");
  add("help,h", options::bool_switch(&common.help), "prints this text and ends");
}

bool answer_common_options(const CommonOptions& common, const std::string& program,
                           const options::options_description& description, bool speaks) {
  if (common.help && speaks) std::cout << description << "\n";
  if (common.version && speaks) fmt::print("{} {}\n", program, version);
  return common.help || common.version;
}

}  // namespace cola
