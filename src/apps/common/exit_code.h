// The one place where errors become exit codes.
#pragma once

#include <exception>

namespace cola {

/// The exit code that stands for an exception.
int exit_code_of(const std::exception& error);

/// The same where a bad file counts as bad usage: before step 0, and in the input of cola_data.
int exit_code_before_step_0(const std::exception& error);

/// `code`, unless what was said on stdout could not be written, as on a full disk: then exit_failed, and a
/// line on stderr.
int unless_output_failed(int code);

}  // namespace cola
