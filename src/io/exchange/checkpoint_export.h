// Export of a checkpoint's weights for other programs: named tensors in their logical shape, without padding
// or optimizer state.
#pragma once

#include <string>

#include "core/data_type.h"
#include "io/checkpoints/checkpoint_reader.h"
#include "io/tokens/tokenizer.h"

namespace cola {

/// One fp32 dataset a tensor, plus /manifest: the checkpoint's description (no shards), from which import
/// rebuilds one, and /checksums: a line for each tensor. Durable, and there whole or not at all. Throws
/// FileError.
void export_hdf5(CheckpointReader& reader, const std::string& output);

/// The same weights as a safetensors file of `type`, float32 or bfloat16, to which they are rounded to
/// nearest even; the lines of /checksums are among its metadata.
void export_safetensors(CheckpointReader& reader, DataType type, const std::string& output);

/// A folder for Hugging Face's tools: that file as model.safetensors, config.json, which says what model it
/// is, modeling_cola.py for a CoLA model, and of a tokenizer, if there is one, all that they need. Made where
/// it is missing, and then there whole or not at all; files in it are replaced. Throws FileError, UsageError
/// for a tokenizer that does not fit the model or cannot be described.
void export_huggingface(CheckpointReader& reader, const ModelConfiguration& configuration, DataType type,
                        const Tokenizer* tokenizer, const std::string& folder);

}  // namespace cola
