// Export of a checkpoint's weights for other programs, and import back: named tensors in their logical shape,
// without padding or optimizer state.
#pragma once

#include <string>

#include "core/data_type.h"
#include "io/checkpoint_reader.h"
#include "io/tokenizer.h"

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

/// The checkpoint that is meant if `input` of an import is one of this program's or a run's directory
/// (resolve_checkpoint); empty for exports and other programs' files. Throws UsageError if none is committed.
std::string find_own_checkpoint(const std::string& input);

/// What an exported HDF5 file says about the model it holds. Throws FileError.
Manifest read_export_manifest(const std::string& input);

/// Makes checkpoints/step-00000000 in the run directory `directory`, which may also be its folder
/// checkpoints, out of the tensors of `input` (find_own_checkpoint, open_exported): weights as given, moments
/// zero, nothing trained on yet. `like` describes the model (read_export_manifest, or a checkpoint's
/// manifest). Every tensor must be there in its logical shape, and no other, and with `verify` have its
/// checksum if the file holds any. `shards` 0: as many as keep each below 2^28 elements. Returns the
/// checkpoint's folder, which is cleared of what an earlier try left. Throws FileError naming the tensor,
/// UsageError if that checkpoint exists already or a job works in the run directory; nothing half-made stays.
std::string import_weights(const std::string& input, const Manifest& like, const std::string& directory,
                           int shards, bool verify = true);

}  // namespace cola
