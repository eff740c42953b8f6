// The trainer's checkpoints: when one begins, goes on and ends, and what is said of it.
#include <array>

#include "core/error.h"
#include "core/log.h"
#include "io/checkpoints/checkpoint_directory.h"
#include "train/trainer.h"

namespace cola {

// One checkpoint at a time: an interval shorter than the writing takes makes training wait here. If it is to
// stop when it has waited, finish() saves this step.
void Trainer::start_checkpoint() {
  const ProfileRange range(device_, "checkpoint");
  if (const auto saved = checkpointer_.wait()) {
    report(*saved);
    if (stop_.ask()) return;
  }
  if (configuration_.checkpoint.async) return checkpointer_.start(state_);
  report(checkpointer_.save(state_));
}

// Once no rank's writer is at work any more, the checkpoint under way goes on, on all ranks at the same step.
void Trainer::proceed_with_checkpoint() {
  if (!checkpointer_.under_way()) return;
  std::array<std::int64_t, 1> busy{checkpointer_.busy() ? 1 : 0};
  communicator_.all_reduce_maximum(busy);
  if (busy[0] > 0) return;
  if (const auto saved = checkpointer_.proceed()) report(*saved);
}

void Trainer::report(const SaveOutcome& saved) {
  if (saved.error.empty()) {
    stop_.learn_checkpoint(saved.full_speed_seconds);  // the last one is saved so
    if (metrics_) metrics_->write_checkpoint(saved.step, saved.seconds, saved.full_speed_seconds);
    return progress_.announce(fmt::format("step {}: saved {}/{} in {:.2f} s", saved.step,
                                          checkpoints_of(configuration_), checkpoint_name(saved.step),
                                          saved.seconds));
  }
  if (metrics_) metrics_->write_event("checkpoint_failed", saved.step, saved.error);
  if (saved.failures_in_a_row >= configuration_.checkpoint.max_failures)
    throw AgreedError("{} checkpoints in a row failed (checkpoint.max_failures), the last one at step {}: {}",
                      saved.failures_in_a_row, saved.step, saved.error);
  const bool ends = finished() || stop_.requested();
  if (ends && saved.step == state_.step)
    throw AgreedError("the checkpoint of step {}, the last of this job, failed: {}", saved.step, saved.error);
  if (speaks())
    warning("the checkpoint of step {} failed, {}: {}", saved.step,
            ends ? "the one that ends the run is still to come" : "training goes on", saved.error);
}

void Trainer::save_last_step() {
  if (const auto saved = checkpointer_.wait()) report(*saved);
  if (checkpointer_.committed_step() == state_.step) return;
  report(checkpointer_.save(state_));
}

}  // namespace cola
