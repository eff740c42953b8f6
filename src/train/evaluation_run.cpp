#include "train/evaluation_run.h"

#include <optional>

#include "core/error.h"
#include "io/checkpoints/checkpoint_directory.h"
#include "train/agreement.h"
#include "train/checkpoints/loaded_weights.h"
#include "train/checkpoints/same_run.h"
#include "train/checkpoints/training_state.h"
#include "train/configuration/precision.h"
#include "train/configuration/transformer_options.h"
#include "train/data_files.h"
#include "train/stop_condition.h"
#include "train/token_data.h"

namespace cola {

namespace {

// All of them have the tokenizer of the first one.
TokenFileLayout first_validation_file(const RunConfiguration& configuration) {
  const char* key = "data.validation";
  return read_token_file_layouts({require_data_files(key, configuration.data.validation).front()}).front();
}

// Verified, and of the configuration's model and the validation data's tokenizer. Collective.
std::string find_weights(Communicator& communicator, const RunConfiguration& configuration,
                         const ParameterTable& table, const ResumeChoice& choice) {
  const std::string folder = find_checkpoint(communicator, configuration, choice);
  if (folder.empty())
    throw UsageError("{}: holds no committed checkpoint to evaluate", checkpoints_of(configuration));
  on_rank_0(communicator, [&] {
    const Manifest manifest = read_manifest(folder);
    require_same_model(manifest, configuration, table, folder);
    require_same_tokenizer(manifest, first_validation_file(configuration), folder);
  });
  return folder;
}

}  // namespace

CheckpointEvaluation evaluate_checkpoint(const RunConfiguration& configuration, Device& device,
                                         Communicator& communicator, const ResumeChoice& choice,
                                         const StopSignal& signal) {
  const ParameterTable table(configuration.model);
  const TokenDataset data =
      open_token_data("data.validation", configuration.data.validation, configuration, communicator);
  const std::string folder = find_weights(communicator, configuration, table, choice);
  on_rank_0(communicator, [&] { require_targets(data, configuration.evaluation.tokens); });
  const DataType type = compute_type_of(configuration.train.precision, device);
  CheckpointReader checkpoint(folder, ShardCheck::size);  // it has been verified
  LoadedWeights weights(device, checkpoint, table, type);
  Transformer model(device, table, transformer_options(configuration, type, device.kind()));
  StopCondition stop(communicator, signal, std::nullopt, 0, 0);
  const std::optional<EvaluationResult> result =
      evaluate(model, weights, data, communicator, configuration.train.micro_batch,
               configuration.evaluation.tokens, [&] { return stop.ask(); });
  if (!result) throw AgreedError("the evaluation was ended by {}", stop.cause());
  return {folder, *result};
}

}  // namespace cola
