#include "apps/common/run_program.h"

#include <csignal>
#include <optional>

#include "apps/common/exit_code.h"
#include "core/error.h"
#include "core/log.h"
#include "train/agreement.h"

namespace cola {

namespace {

// The rank that says an error for all; none where only this one has it.
std::optional<int> speaker_of(const std::exception& error) {
  if (const auto* told = dynamic_cast<const RankError*>(&error)) return told->rank;
  const bool is_shared = dynamic_cast<const UsageError*>(&error) || dynamic_cast<const AgreedError*>(&error);
  return is_shared ? std::optional(0) : std::nullopt;
}

int end_ranks(const std::exception& error, Communicator& world) {
  if (dynamic_cast<const ReportedError*>(&error)) return exit_code_of(error);
  const std::optional<int> speaker = speaker_of(error);
  if (!speaker || *speaker == world.rank()) log_error(error.what());
  if (!speaker && world.size() > 1) world.abort(exit_failed);
  // A launcher may end the others as soon as one has ended.
  if (dynamic_cast<const RankError*>(&error)) world.barrier();
  return exit_code_of(error);
}

}  // namespace

int run_program(const std::string& program, const std::function<int()>& body) {
  set_log_program(program);
  // A limit on file sizes is to be the error of the write that meets it, not the end of the process.
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    return body();
  } catch (const std::exception& error) {
    if (!dynamic_cast<const ReportedError*>(&error)) log_error(error.what());
    return exit_code_of(error);
  }
}

int run_on_ranks(int count, char** arguments, const EarlyChoices& choices,
                 const std::function<int(MpiSession&)>& body, StartGuard* guard) {
  if (guard) guard->enter("the choice of a GPU and network cards");
  take_place(choices);
  if (guard) guard->enter("MPI_Init");
  MpiSession session(count, arguments);
  set_log_identity(session.world().rank(), session.world().size(), session.host());
  try {
    return body(session);
  } catch (const std::exception& error) {
    return end_ranks(error, session.world());
  }
}

}  // namespace cola
