// What model weights are of, where a checkpoint's configuration or Hugging Face's config.json says so.
#pragma once

#include <string>

#include "io/checkpoints/checkpoint_reader.h"
#include "io/checkpoints/manifest.h"
#include "model/model_configuration.h"

namespace cola {

/// The model that the checkpoint's configuration describes. Throws FileError unless it has the checkpoint's
/// parameters.
ModelConfiguration described_model(const CheckpointReader& reader);

/// A manifest of the model that config.json describes, in the folder `input` or beside the file `input`. How
/// and on what it was trained is not known: the rest of its configuration is the defaults. Throws FileError
/// naming what is missing, or the key of a model that this program does not compute.
Manifest describe_huggingface(const std::string& input);

}  // namespace cola
