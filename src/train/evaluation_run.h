// EvaluationRun: the validation loss of a checkpoint, without training.
#pragma once

#include <string>

#include "core/device.h"
#include "dist/communicator.h"
#include "train/checkpoints/resume.h"
#include "train/configuration/run_configuration.h"
#include "train/evaluation.h"
#include "train/stop_signal.h"

namespace cola {

struct CheckpointEvaluation {
  std::string folder;
  EvaluationResult result;
};

/// Evaluates the checkpoint that `choice` names on data.validation, as the run itself does: ranks share the
/// tokens, each holding all weights. Nothing is written. Collective. Throws UsageError if there is no such
/// checkpoint, if it holds another model than the configuration's, or if it was trained with another
/// tokenizer than that of the data; AgreedError if a signal comes.
CheckpointEvaluation evaluate_checkpoint(const RunConfiguration& configuration, Device& device,
                                         Communicator& communicator, const ResumeChoice& choice,
                                         const StopSignal& signal);

}  // namespace cola
