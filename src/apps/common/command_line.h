// Reading of command lines, alike in all programs.
#pragma once

#include <boost/program_options.hpp>
#include <string>
#include <vector>

namespace cola {

/// Reads words into what `description` is bound to, and returns them. Options are not guessed from
/// abbreviations. Throws UsageError that points to the program's --help.
boost::program_options::variables_map parse_words(
    const std::string& program, const std::vector<std::string>& words,
    const boost::program_options::options_description& description,
    const boost::program_options::positional_options_description& positional = {});

/// The same for a whole command line.
boost::program_options::variables_map parse_command_line(
    const std::string& program, int count, char** arguments,
    const boost::program_options::options_description& description,
    const boost::program_options::positional_options_description& positional = {});

/// The same for a program of several commands: its first word goes to `command`, which --help does not list
/// among the options.
boost::program_options::variables_map parse_command_line(
    const std::string& program, int count, char** arguments,
    const boost::program_options::options_description& description, std::string& command);

/// The two options that every program has.
struct CommonOptions {
  bool help = false, version = false;
};

void add_common_options(boost::program_options::options_description& description, CommonOptions& common);

/// Whether one of them was given, which is then all there is to do; answers on stdout where `speaks`.
bool answer_common_options(const CommonOptions& common, const std::string& program,
                           const boost::program_options::options_description& description,
                           bool speaks = true);

}  // namespace cola
