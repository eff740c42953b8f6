// Whether a run can resume from a checkpoint as what it was: the same model, samples and data.
#pragma once

#include <string>

#include "io/checkpoints/manifest.h"
#include "io/tokens/token_file.h"
#include "model/parameter_table.h"
#include "train/configuration/run_configuration.h"

namespace cola {

/// A run as it is about to start.
struct RunIdentity {
  const RunConfiguration& configuration;
  const ParameterTable& table;
  const DataRecord& data;
};

/// Throws UsageError, naming each key with its old and new value, if the checkpoint in `folder` holds another
/// model, for which max_position_embeddings may grow; FileError where it brings no configuration.
void require_same_model(const Manifest& manifest, const RunConfiguration& configuration,
                        const ParameterTable& table, const std::string& folder);

/// Throws UsageError if the checkpoint in `folder` says that it was trained with another tokenizer than the
/// one that the validation file `data` names.
void require_same_tokenizer(const Manifest& manifest, const TokenFileLayout& data, const std::string& folder);

/// Throws UsageError, naming each key with its old and new value, if the run would resume as another model or
/// on other samples than the checkpoint in `folder` was trained as; FileError for another model where the
/// checkpoint brings no configuration. Other training data, of which imported weights have another
/// tokenizer alone, need data.allow_change, and a warning tells of them; so it does where the checkpoint does
/// not say what it was trained on.
void require_same_run(const Manifest& manifest, const RunIdentity& run, const std::string& folder);

/// What else is not as it was when the checkpoint was saved, for people; empty if nothing.
std::string describe_changes(const Manifest& manifest, const RunConfiguration& configuration, int ranks,
                             const std::string& folder);

}  // namespace cola
