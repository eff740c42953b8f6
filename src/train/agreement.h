// Agreement: small things that all ranks must know alike, and work that some ranks take longer for than
// others.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "dist/communicator.h"
#include "train/background_task.h"

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

/// What one rank has to say, known to all.
struct RankWord {
  int rank = 0;
  std::string text;  // empty if nobody has anything to say
  // Others looked at the same and have nothing to say: the fault of a node, which a start elsewhere may mend.
  bool alone = false;
};

/// The word of the lowest rank that has one, on all ranks. Collective.
inline RankWord first_told(Communicator& communicator, const std::string& own) {
  std::vector<std::string> told = communicator.all_gather(own);
  for (std::size_t rank = 0; rank < told.size(); ++rank)
    if (!told[rank].empty()) return {static_cast<int>(rank), std::move(told[rank])};
  return {};
}

/// The same of ranks that have looked at the same thing, all of them or those that say so: tells whether the
/// others found it as well. Collective.
inline RankWord first_told_of_one_thing(Communicator& communicator, const std::string& own, bool looked) {
  RankWord first = first_told(communicator, own);
  std::array<std::int64_t, 1> contented{looked && own.empty() ? 1 : 0};
  communicator.all_reduce_maximum(contented);
  first.alone = !first.text.empty() && contented[0] != 0;
  return first;
}

/// What one rank has met before the first step, thrown by all: programs let that rank say it for all. The
/// exit code is exit_failed if that rank is alone with it, and exit_usage otherwise.
class RankError : public UsageError {
 public:
  explicit RankError(RankWord word) : UsageError("{}", word.text), rank(word.rank), alone(word.alone) {}
  int rank;
  bool alone;
};

/// Throws RankError on all ranks if any has an error: the lowest rank's. `looked`: whether this rank could
/// have met it. Collective.
inline void require_none(Communicator& communicator, const std::string& own_error, bool looked = true) {
  RankWord told = first_told_of_one_thing(communicator, own_error, looked);
  if (!told.text.empty()) throw RankError(std::move(told));
}

/// Calls `ends_within(moment)`, which waits so long at most and says whether this rank is done, until all
/// ranks are. Collective. Ranks ask each other every moment: one that waited inside a collective for
/// another's disk would be taken for stuck (parallel.timeout_seconds), and the other for dead.
template <typename EndsWithin>
void wait_together(Communicator& communicator, EndsWithin&& ends_within) {
  constexpr std::chrono::milliseconds moment(200);
  std::array<std::int64_t, 1> busy{1};
  while (busy[0] != 0) {
    busy[0] = ends_within(moment) ? 0 : 1;
    communicator.all_reduce_maximum(busy);
  }
}

/// Does what may take long, and on some ranks longer than on others, on a thread of its own; returns once all
/// ranks have done theirs. This rank's error, empty if there was none. Collective.
template <typename Action>
std::string error_of_slow(Communicator& communicator, Action&& action) {
  BackgroundTask task;
  task.start([&](std::stop_token) { return error_of(action); });
  wait_together(communicator, [&](auto moment) { return task.ends_within(moment); });
  return task.wait().result;
}

/// Does on rank 0 what only one rank may do, however long it takes. Collective. An error there is thrown on
/// all ranks, as UsageError: it is found before the first step.
template <typename Action>
void on_rank_0(Communicator& communicator, Action&& action) {
  const std::string error = shared_text(communicator, error_of_slow(communicator, [&] {
                                          if (communicator.rank() == 0) action();
                                        }));
  if (!error.empty()) throw UsageError("{}", error);
}

}  // namespace cola
