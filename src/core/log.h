// Messages for people. Rank 0 speaks on stdout; warnings and errors go to stderr with rank and host.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

namespace cola {

/// The program that warnings and errors begin with, "cola" without a call; before set_log_identity().
void set_log_program(const std::string& name);

/// Says who speaks: only rank 0 prints information. Without a call the process counts as rank 0 of 1.
void set_log_identity(int rank, int ranks, const std::string& host);

void log_information(std::string_view message);
void log_warning(std::string_view message);
void log_error(std::string_view message);

template <typename... Arguments>
void information(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  log_information(fmt::format(format, std::forward<Arguments>(arguments)...));
}
template <typename... Arguments>
void warning(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  log_warning(fmt::format(format, std::forward<Arguments>(arguments)...));
}

}  // namespace cola
