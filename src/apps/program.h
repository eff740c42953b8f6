// What every program's main shares: one place where errors become a line on stderr and an exit code.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <iostream>
#include <string>
#include <type_traits>
#include <vector>

#include "apps/early_place.h"
#include "core/error.h"
#include "core/log.h"
#include "core/version.h"
#include "dist/communicator.h"
#include "dist/mpi_session.h"
#include "dist/start_guard.h"
#include "train/agreement.h"

namespace cola {

/// Reads words into what `description` is bound to, and returns them. Options are not guessed from
/// abbreviations. Throws UsageError that points to the program's --help.
inline boost::program_options::variables_map parse_words(
    const std::string& program, const std::vector<std::string>& words,
    const boost::program_options::options_description& description,
    const boost::program_options::positional_options_description& positional = {}) {
  namespace options = boost::program_options;
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

/// The same for a whole command line.
inline boost::program_options::variables_map parse_command_line(
    const std::string& program, int count, char** arguments,
    const boost::program_options::options_description& description,
    const boost::program_options::positional_options_description& positional = {}) {
  return parse_words(program, {arguments + 1, arguments + count}, description, positional);
}

/// The same for a program of several commands: its first word goes to `command`, which --help does not list
/// among the options.
inline boost::program_options::variables_map parse_command_line(
    const std::string& program, int count, char** arguments,
    const boost::program_options::options_description& description, std::string& command) {
  boost::program_options::options_description all;
  all.add(description).add_options()("command", boost::program_options::value(&command));
  boost::program_options::positional_options_description positional;
  return parse_command_line(program, count, arguments, all, positional.add("command", 1));
}

/// The two options that every program has.
struct CommonOptions {
  bool help = false, version = false;
};

inline void add_common_options(boost::program_options::options_description& description,
                               CommonOptions& common) {
  namespace options = boost::program_options;
  auto add = description.add_options();
  add("version", options::bool_switch(&common.version), "prints the version and ends");
  add("help,h", options::bool_switch(&common.help), "prints this text and ends");
}

/// Whether one of them was given, which is then all there is to do; answers on stdout where `speaks`.
inline bool answer_common_options(const CommonOptions& common, const std::string& program,
                                  const boost::program_options::options_description& description,
                                  bool speaks = true) {
  if (common.help && speaks) std::cout << description << "\n";
  if (common.version && speaks) fmt::print("{} {}\n", program, version);
  return common.help || common.version;
}

/// `code`, unless what was said on stdout could not be written, as on a full disk: then exit_failed.
inline int unless_output_failed(int code) {
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
  log_error(fmt::format("standard output cannot be written: {}", std::strerror(errno != 0 ? errno : EIO)));
  return exit_failed;
}

/// The exit code that stands for an exception.
inline int exit_code_of(const std::exception& error) {
  if (const auto* reported = dynamic_cast<const ReportedError*>(&error)) return reported->exit_code;
  if (const auto* told = dynamic_cast<const RankError*>(&error); told && told->alone) return exit_failed;
  return dynamic_cast<const UsageError*>(&error) ? exit_usage : exit_failed;
}

/// Whether an exception stands for a bad file or command line of the user's, where a bad file counts as bad
/// usage: before step 0, and in the input of cola_data.
inline bool is_bad_input(const std::exception& error) {
  return dynamic_cast<const FileError*>(&error) || dynamic_cast<const UsageError*>(&error);
}

/// The exit code where a bad file counts as bad usage.
inline int exit_code_before_step_0(const std::exception& error) {
  return dynamic_cast<const FileError*>(&error) ? exit_usage : exit_code_of(error);
}

/// Whether all ranks throw this, and another of them is to say it.
inline bool is_of_another_rank(const std::exception& error, int rank) {
  const auto* told = dynamic_cast<const RankError*>(&error);
  return told && told->rank != rank;
}
constexpr const char* told_by_another = "told by another";

/// What ranks do in `together`: the same, so that an error that some meet and others do not is of their node;
/// or each its part.
enum class CommonWork { alike, divided };

/// Runs `body` on every rank. If it throws anywhere, the lowest such rank, or whose error it is, logs it and
/// all ranks throw ReportedError, so that a problem that only one rank sees ends the job in order. For work
/// before step 0, where a bad file counts as bad usage, unless a start elsewhere may mend it.
template <typename Body>
auto together(Communicator& communicator, Body&& body, CommonWork work = CommonWork::alike) {
  decltype(body()) result{};
  std::string error, told;
  try {
    result = body();
  } catch (const std::exception& caught) {
    error = caught.what();
    told = is_of_another_rank(caught, communicator.rank()) ? told_by_another
                                                           : std::to_string(exit_code_before_step_0(caught));
  }
  const std::vector<std::string> codes = communicator.all_gather(told);
  const bool some_are_well = std::find(codes.begin(), codes.end(), "") != codes.end();
  for (std::size_t rank = 0; rank < codes.size(); ++rank) {
    if (codes[rank].empty() || codes[rank] == told_by_another) continue;
    if (static_cast<int>(rank) == communicator.rank()) log_error(error);
    communicator.barrier();
    const bool of_a_node = some_are_well && work == CommonWork::alike;
    throw ReportedError(of_a_node ? exit_failed : std::stoi(codes[rank]));
  }
  return result;
}

/// The same for a body without a result.
template <typename Body>
requires std::is_void_v<std::invoke_result_t<Body>>
void together(Communicator& communicator, Body&& body, CommonWork work = CommonWork::alike) {
  const auto with_result = [&] {
    body();
    return true;
  };
  together(communicator, with_result, work);
}

/// The whole main of a program: `body` returns the exit code, an error is said on stderr.
template <typename Body>
int run_program(const std::string& program, Body&& body) {
  set_log_program(program);
  // A limit on file sizes is to be the error of the write that meets it, not the end of the process.
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    return body();
  } catch (const ReportedError& error) {
    return error.exit_code;
  } catch (const std::exception& error) {
    log_error(error.what());
    return exit_code_of(error);
  }
}

/// The whole main of a program of many ranks: `body` gets the MPI session and returns the exit code. An error
/// that all ranks share is said once; one that a single rank meets ends the job, named with rank and host.
/// `guard` is told of the stages until `body`.
template <typename Body>
int run_on_ranks(const std::string& program, int count, char** arguments, const EarlyChoices& choices,
                 Body&& body, StartGuard* guard = nullptr) {
  return run_program(program, [&]() -> int {
    if (guard) guard->enter("the choice of a GPU and network cards");
    take_place(choices);
    if (guard) guard->enter("MPI_Init");
    MpiSession session(count, arguments);
    Communicator& world = session.world();
    set_log_identity(world.rank(), world.size(), session.host());
    try {
      return body(session);
    } catch (const ReportedError& error) {
      return error.exit_code;
    } catch (const RankError& error) {
      if (world.rank() == error.rank) log_error(error.what());
      world.barrier();  // a launcher may end the others as soon as one has ended
      return exit_code_of(error);
    } catch (const UsageError& error) {
      if (world.rank() == 0) log_error(error.what());
      return exit_usage;
    } catch (const AgreedError& error) {
      if (world.rank() == 0) log_error(error.what());
      return exit_failed;
    } catch (const std::exception& error) {
      log_error(error.what());
      if (world.size() > 1) world.abort(exit_failed);
      return exit_failed;
    }
  });
}

}  // namespace cola
