// What every program's main shares: one place where errors become a line on stderr and an exit code.
#pragma once

#include <boost/program_options/cmdline.hpp>
#include <exception>
#include <string>

#include "core/error.h"
#include "core/log.h"
#include "dist/communicator.h"

namespace cola {

/// Boost.Program_options' usual style without guessing what an abbreviated option might mean.
constexpr int exact_style = boost::program_options::command_line_style::unix_style &
                            ~boost::program_options::command_line_style::allow_guessing;

/// The exit code that stands for an exception.
inline int exit_code_of(const std::exception& error) {
  return dynamic_cast<const UsageError*>(&error) ? exit_usage : exit_failed;
}

/// Runs `body` on every rank and throws the lowest rank's error on all of them, so that a problem that only
/// one rank sees ends the job in order. For work before step 0 that may fail on any rank: a bad file counts
/// as bad usage there.
template <typename Body>
auto together(Communicator& communicator, Body&& body) {
  decltype(body()) result{};
  std::string error;
  try {
    result = body();
  } catch (const std::exception& caught) {
    const bool usage = exit_code_of(caught) == exit_usage || dynamic_cast<const FileError*>(&caught);
    error = (usage ? "usage " : "failed ") + std::string(caught.what());
  }
  for (const std::string& text : communicator.all_gather(error)) {
    if (text.starts_with("usage ")) throw UsageError("{}", text.substr(6));
    if (text.starts_with("failed ")) throw Error("{}", text.substr(7));
  }
  return result;
}

}  // namespace cola
