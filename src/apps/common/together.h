// Work of all ranks before step 0, whose errors end the job in order.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <type_traits>
#include <vector>

#include "apps/common/exit_code.h"
#include "core/error.h"
#include "core/log.h"
#include "dist/communicator.h"
#include "train/agreement.h"

namespace cola {

/// What ranks do in `together`: the same, so that an error that some meet and others do not is of their node;
/// or each its part.
enum class CommonWork { alike, divided };

/// What `error` is to the other ranks: its exit code in digits, or told_by_another if all throw it and
/// another rank is to say it.
inline constexpr const char* told_by_another = "told by another";
inline std::string word_of(const std::exception& error, int rank) {
  const auto* shared = dynamic_cast<const RankError*>(&error);
  if (shared && shared->rank != rank) return told_by_another;
  return std::to_string(exit_code_before_step_0(error));
}

/// Runs `body` on every rank. If it throws anywhere, the lowest such rank, or whose error it is, logs it and
/// all ranks throw ReportedError, so that a problem that only one rank sees ends the job in order. For work
/// before step 0, where a bad file counts as bad usage, unless a start elsewhere may mend it.
template <typename Body>
auto together(Communicator& communicator, Body&& body, CommonWork work = CommonWork::alike) {
  decltype(body()) result{};
  std::string error, word;
  try {
    result = body();
  } catch (const std::exception& caught) {
    error = caught.what();
    word = word_of(caught, communicator.rank());
  }
  const std::vector<std::string> words = communicator.all_gather(word);
  const bool some_are_well = std::find(words.begin(), words.end(), "") != words.end();
  for (std::size_t rank = 0; rank < words.size(); ++rank) {
    if (words[rank].empty() || words[rank] == told_by_another) continue;
    if (static_cast<int>(rank) == communicator.rank()) log_error(error);
    communicator.barrier();
    const bool of_a_node = some_are_well && work == CommonWork::alike;
    throw ReportedError(of_a_node ? exit_failed : std::stoi(words[rank]));
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

}  // namespace cola
