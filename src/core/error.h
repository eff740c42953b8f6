// The errors of the project. Each carries one clear line for the person at the terminal; programs map the
// type to an exit code in a single place (apps/common/exit_code.h).
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace cola {

/// Anything that went wrong while running: exit code 1.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;

  template <typename... Arguments>
  explicit Error(fmt::format_string<Arguments...> format,
                 Arguments&&... arguments) requires(sizeof...(Arguments) > 0)
      : std::runtime_error(fmt::format(format, std::forward<Arguments>(arguments)...)) {}
};

/// A bad command line or configuration, found before any work began: exit code 2, or 1 for a RankError
/// (train/agreement.h) that one rank alone has met.
class UsageError : public Error {
 public:
  using Error::Error;
};

/// Bad or missing bytes in a file (token file, checkpoint, tokenizer model): exit code 1 unless found before
/// step 0.
class FileError : public Error {
 public:
  using Error::Error;
};

/// A device that is absent, too small, or failed.
class DeviceError : public Error {
 public:
  using Error::Error;
};

/// What every rank knows and throws at the same place, in the same words: rank 0 says it for all, and the
/// ranks end one by one, without one ending the others.
class AgreedError : public Error {
 public:
  using Error::Error;
};

/// A NaN or infinity in the loss or the gradients, of any rank; the weights have not been touched.
class NumericalError : public AgreedError {
 public:
  using AgreedError::AgreedError;
};

/// Exit codes of every program.
enum ExitCode : int { exit_finished = 0, exit_failed = 1, exit_usage = 2, exit_run_again = 75 };

/// An error that was said already: what catches it ends with its exit code and without a word.
class ReportedError : public Error {
 public:
  explicit ReportedError(int code) : Error("reported already"), exit_code(code) {}
  int exit_code;
};

}  // namespace cola
