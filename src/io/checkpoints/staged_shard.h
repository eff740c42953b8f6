// Staged shards: shards that were written to a node's own disk first and have yet to be drained to the shared
// file system. Beside each lies a manifest that knows this shard alone, so that a run that ended in between
// can be finished at its next start.
#pragma once

#include <string>
#include <vector>

#include "io/checkpoints/manifest.h"
#include "io/files/write_pace.h"

namespace cola {

/// Where the run in `run_directory` stages on a node: a folder of its own under `local_directory`, by
/// whatever name the run's is reached. Throws FileError.
std::string staging_directory(const std::string& local_directory, const std::string& run_directory);

/// Makes that folder. Throws FileError unless it is there then and can be written into.
void make_staging_directory(const std::string& staging);

/// Where one attempt of the run, one job that works in its directory, stages: a folder of its own in there.
std::string attempt_directory(const std::string& staging, const std::string& attempt);

struct StagedShard {
  std::string folder;  // ATTEMPT/step-00002000
  Manifest part;       // with one shard
};

/// Declares a shard in `folder` staged: `part` holds its record. Throws FileError.
void stage_shard(const std::string& folder, const Manifest& part);

/// All that one attempt staged on this node, by step; what was not written to its end is left out. Throws
/// FileError where the disk does not let it be read.
std::vector<StagedShard> staged_shards(const std::string& attempt_directory);

/// Copies a shard's file from one step folder to another, durably, its checksum compared on the way. With
/// `verify` the copy is read back from the disk before it gets its name, and must have that checksum too.
/// Throws FileError; nothing half-written stays.
void drain_shard(const std::string& from, const std::string& to, const ShardRecord& record,
                 bool verify = false, WritePace pace = {});

/// Removes what is staged of one shard in all step folders but `current`, which other ranks of the node may
/// be filling.
void remove_staged(const std::string& attempt_directory, const std::string& shard_file,
                   const std::string& current);

}  // namespace cola
