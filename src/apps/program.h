// What every program's main shares: one place where errors become a line on stderr and an exit code.
#pragma once

#include <boost/program_options/cmdline.hpp>
#include <exception>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/log.h"
#include "dist/communicator.h"

namespace cola {

/// Boost.Program_options' usual style without guessing what an abbreviated option might mean.
constexpr int exact_style = boost::program_options::command_line_style::unix_style &
                            ~boost::program_options::command_line_style::allow_guessing;

/// An error that one rank has logged already: the others end with its exit code and without a word.
class ReportedError : public Error {
 public:
  explicit ReportedError(int code) : Error("reported by another rank"), exit_code(code) {}
  int exit_code;
};

/// The exit code that stands for an exception.
inline int exit_code_of(const std::exception& error) {
  if (const auto* reported = dynamic_cast<const ReportedError*>(&error)) return reported->exit_code;
  return dynamic_cast<const UsageError*>(&error) ? exit_usage : exit_failed;
}

/// Runs `body` on every rank. If it throws anywhere, the lowest such rank logs its error and all ranks throw
/// ReportedError, so that a problem that only one rank sees ends the job in order. For work before step 0,
/// where a bad file counts as bad usage.
template <typename Body>
auto together(Communicator& communicator, Body&& body) {
  decltype(body()) result{};
  std::string error;
  int code = 0;
  try {
    result = body();
  } catch (const std::exception& caught) {
    error = caught.what();
    code = dynamic_cast<const FileError*>(&caught) ? exit_usage : exit_code_of(caught);
  }
  const std::vector<std::string> codes = communicator.all_gather(error.empty() ? "" : std::to_string(code));
  for (std::size_t rank = 0; rank < codes.size(); ++rank) {
    if (codes[rank].empty()) continue;
    if (static_cast<int>(rank) == communicator.rank()) log_error(error);
    communicator.barrier();
    throw ReportedError(std::stoi(codes[rank]));
  }
  return result;
}

}  // namespace cola
