// The checkpoints of a run: step folders under run.dir/checkpoints. A checkpoint exists if and only if its
// manifest.json does.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "io/checkpoints/manifest.h"
#include "io/checkpoints/shard_file.h"

namespace cola {

/// step-00002000
std::string checkpoint_name(std::int64_t step);
/// The step that a folder's name stands for; nothing for a name that checkpoint_name does not give.
std::optional<std::int64_t> checkpoint_step(const std::string& name);

/// The names of all that lies in a folder, in order; a missing folder has none. Throws FileError.
std::vector<std::string> names_in(const std::string& directory);
/// Committed checkpoints under `directory`, oldest first (full paths). A missing directory has none.
std::vector<std::string> committed_checkpoints(const std::string& directory);
/// All step folders under `directory`, committed or not, by step.
std::vector<std::string> step_folders(const std::string& directory);
/// Whether `folder` holds a manifest. Throws FileError if that cannot be told.
bool is_committed(const std::string& folder);

/// Where the checkpoints lie of what a user names: `path` itself, or path/checkpoints for a run directory.
std::string checkpoints_directory(const std::string& path);
/// The step folder a user means by a run directory, a checkpoints directory (the newest committed checkpoint)
/// or a step folder. Throws UsageError if there is none.
std::string resolve_checkpoint(const std::string& path);

/// Reads folder/manifest.json. Throws FileError.
Manifest read_manifest(const std::string& folder);
/// Publishes the manifest last and durably: the checkpoint exists from then on. Throws FileError, with
/// nothing published, if the shards do not cover every element exactly once.
void publish_manifest(const std::string& folder, const Manifest& manifest);

/// Checks every shard file against the manifest (size, checksums, ranges covering every element exactly
/// once); with `parts`, only every parts-th shard from number `part` on, so that several readers share the
/// work. Throws FileError naming the first file that fails.
void verify_checkpoint(const std::string& folder, int part = 0, int parts = 1);
/// The quick part of it: a readable manifest and files of the right size. Returns what is wrong, empty if
/// nothing.
std::string find_damage(const std::string& folder);

/// Keeps the newest `keep` (at least 1), and every one whose step is a multiple of `keep_every` (0: none);
/// the other older ones are removed, their manifests first. Checkpoints that are visibly damaged do not count
/// as kept, so that the last good one stays.
void retire_old_checkpoints(const std::string& directory, std::int64_t keep, std::int64_t keep_every = 0);

/// Renames committed checkpoints beyond `step` to abandoned-NAME and returns their new paths: a run that
/// resumes from an older step must neither collide with them, nor count them as its newest.
std::vector<std::string> set_aside_newer_checkpoints(const std::string& directory, std::int64_t step);
/// Everything called abandoned-... in this folder, by name: no run resumes from it by itself.
std::vector<std::string> abandoned_folders(const std::string& directory);
/// Removes a step's folder unless it is committed. Throws FileError.
void remove_uncommitted(const std::string& folder);
/// Removes step folders without a manifest and temporary files, left by a crash; returns what it removed.
std::vector<std::string> remove_orphans(const std::string& directory);

/// Reads global flat elements [range.begin, range.end) for every range into values[range.local...], from
/// whatever shards hold them: any number of ranks can load a checkpoint of any other number. Throws FileError
/// if one is missing. Its checksum is not looked at: verify_checkpoint() has done that.
void read_ranges(const std::string& folder, const Manifest& manifest, StateTensor tensor,
                 std::span<const ShardRange> ranges, std::span<float> values);

}  // namespace cola
