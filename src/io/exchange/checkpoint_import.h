// Import of weights, exported ones, other programs' or another run's, as the first checkpoint of a run.
#pragma once

#include <string>

#include "io/checkpoints/manifest.h"

namespace cola {

/// The checkpoint that is meant if `input` of an import is one of this program's or a run's directory
/// (resolve_checkpoint); empty for exports and other programs' files. Throws UsageError if none is committed.
std::string find_own_checkpoint(const std::string& input);

/// What an exported HDF5 file says about the model it holds. Throws FileError.
Manifest read_export_manifest(const std::string& input);

/// Makes checkpoints/step-00000000 in the run directory `directory`, which may also be its folder
/// checkpoints, out of the tensors of `input` (find_own_checkpoint, open_weights_file): weights as given,
/// moments zero, nothing trained on yet. `like` describes the model (read_export_manifest, or a checkpoint's
/// manifest). Every tensor must be there in its logical shape, and no other, and with `verify` have its
/// checksum if the file holds any. `shards` 0: as many as keep each below 2^28 elements. Returns the
/// checkpoint's folder, which is cleared of what an earlier try left. Throws FileError naming the tensor,
/// UsageError if that checkpoint exists already or a job works in the run directory; nothing half-made stays.
std::string import_weights(const std::string& input, const Manifest& like, const std::string& directory,
                           int shards, bool verify = true);

}  // namespace cola
