// Agreement: small things that all ranks must know alike.
#pragma once

#include <exception>
#include <string>

#include "core/error.h"
#include "dist/communicator.h"

namespace cola {

/// Runs `action` and returns its error as text, empty if there was none.
template <typename Action>
std::string error_of(Action&& action) {
  try {
    action();
    return {};
  } catch (const std::exception& error) {
    return error.what();
  }
}

/// Rank 0's word, on all ranks. Collective.
inline std::string shared_text(Communicator& communicator, const std::string& text) {
  return communicator.all_gather(communicator.rank() == 0 ? text : std::string()).front();
}

/// Does on rank 0 what only one rank may do. Collective. An error there is thrown on all ranks, as
/// UsageError: it is found before the first step.
template <typename Action>
void on_rank_0(Communicator& communicator, Action&& action) {
  const std::string error =
      shared_text(communicator, communicator.rank() == 0 ? error_of(action) : std::string());
  if (!error.empty()) throw UsageError("{}", error);
}

}  // namespace cola
