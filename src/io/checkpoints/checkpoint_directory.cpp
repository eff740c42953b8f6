#include "io/checkpoints/checkpoint_directory.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <functional>
#include <optional>
#include <system_error>
#include <utility>

#include "core/error.h"
#include "core/fault_point.h"
#include "io/checkpoints/checkpoint_reader.h"
#include "io/files/durable_file.h"
#include "io/files/run_directory.h"

namespace cola {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view prefix = "step-";
constexpr const char* abandoned_prefix = "abandoned-";

std::string manifest_path(const std::string& folder) {
  return folder + "/manifest.json";
}

[[noreturn]] void fail(const std::string& path, const std::string& action, const std::error_code& problem) {
  throw FileError("{}: cannot {}: {}", path, action, problem.message());
}

void remove_all(const std::string& path) {
  std::error_code problem;
  fs::remove_all(path, problem);
  if (problem) fail(path, "remove", problem);
}

void remove_temporary_files(const std::string& folder, std::vector<std::string>& removed) {
  for (const std::string& name : names_in(folder)) {
    if (!name.ends_with(temporary_suffix)) continue;
    removed.push_back(folder + "/" + name);
    remove_all(removed.back());
  }
}

// After this the checkpoint is gone for every reader, even across a power cut; what is left is an orphan.
void withdraw(const std::string& folder) {
  std::error_code problem;
  if (!fs::remove(manifest_path(folder), problem) && problem) fail(manifest_path(folder), "remove", problem);
  synchronize_folder(folder);
}

bool is_lasting(const std::string& folder, std::int64_t keep_every) {
  const std::optional<std::int64_t> step = checkpoint_step(last_name(folder));
  return keep_every > 0 && step && *step % keep_every == 0;
}

void retire(const std::string& folder) {
  fault_point("retire");
  withdraw(folder);
  fault_point("retire_files");
  remove_all(folder);
  fault_point("retired");
}

}  // namespace

std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code problem;
  fs::directory_iterator entry(directory, problem);
  if (problem == std::errc::no_such_file_or_directory) return names;
  for (; !problem && entry != fs::directory_iterator(); entry.increment(problem))
    names.push_back(entry->path().filename().string());
  if (problem) fail(directory, "list the folder", problem);
  std::sort(names.begin(), names.end());
  return names;
}

std::string checkpoint_name(std::int64_t step) {
  return fmt::format("{}{:08d}", prefix, step);
}

std::optional<std::int64_t> checkpoint_step(const std::string& name) {
  if (!name.starts_with(prefix)) return std::nullopt;
  std::int64_t step = 0;
  const auto [end, problem] = std::from_chars(name.data() + prefix.size(), name.data() + name.size(), step);
  if (problem != std::errc() || step < 0 || end != name.data() + name.size() || checkpoint_name(step) != name)
    return std::nullopt;
  return step;
}

bool is_committed(const std::string& folder) {
  std::error_code problem;
  const fs::file_status status = fs::status(manifest_path(folder), problem);
  // A file system in trouble must not make a checkpoint look like rubbish to be cleared away.
  if (status.type() == fs::file_type::none) fail(manifest_path(folder), "look for it", problem);
  return status.type() == fs::file_type::regular;
}

std::vector<std::string> step_folders(const std::string& directory) {
  std::vector<std::pair<std::int64_t, std::string>> found;
  for (const std::string& name : names_in(directory))
    if (const auto step = checkpoint_step(name)) found.emplace_back(*step, directory + "/" + name);
  std::sort(found.begin(), found.end());
  std::vector<std::string> folders;
  for (auto& [step, folder] : found) folders.push_back(std::move(folder));
  return folders;
}

std::vector<std::string> abandoned_folders(const std::string& directory) {
  std::vector<std::string> folders;
  for (const std::string& name : names_in(directory))
    if (name.starts_with(abandoned_prefix)) folders.push_back(directory + "/" + name);
  return folders;
}

std::vector<std::string> committed_checkpoints(const std::string& directory) {
  std::vector<std::string> folders = step_folders(directory);
  std::erase_if(folders, [](const std::string& folder) { return !is_committed(folder); });
  return folders;
}

std::string checkpoints_directory(const std::string& path) {
  std::error_code ignored;
  const std::string folder = checkpoints_folder(path);
  return fs::is_directory(folder, ignored) ? folder : path;
}

std::string resolve_checkpoint(const std::string& path) {
  if (is_committed(path)) return path;
  std::error_code ignored;
  if (!fs::exists(path, ignored)) throw UsageError("{}: no such folder", path);
  if (checkpoint_step(last_name(path)))
    throw UsageError("{}: was never committed: it has no manifest.json", path);
  const std::vector<std::string> committed = committed_checkpoints(checkpoints_directory(path));
  if (committed.empty()) throw UsageError("{}: holds no committed checkpoint", path);
  return committed.back();
}

Manifest read_manifest(const std::string& folder) {
  return manifest_from_json(read_file(manifest_path(folder)), manifest_path(folder));
}

void publish_manifest(const std::string& folder, const Manifest& manifest) {
  require_complete_shards(manifest, folder);
  fault_point("manifest");
  try {
    write_file(manifest_path(folder), to_json(manifest));
    synchronize_folder(parent_folder(folder));  // the step folder's own name
  } catch (const FileError&) {                  // what is said to have failed is not found later
    std::error_code ignored;
    fs::remove(manifest_path(folder), ignored);
    throw;
  }
  fault_point("committed");
}

void verify_checkpoint(const std::string& folder, int part, int parts) {
  const Manifest manifest = read_manifest(folder);
  require_complete_shards(manifest, manifest_path(folder));
  for (auto shard = static_cast<std::size_t>(part); shard < manifest.shards.size();
       shard += static_cast<std::size_t>(parts))
    verify_shard(folder, manifest.shards[shard]);
}

std::string find_damage(const std::string& folder) {
  try {
    const Manifest manifest = read_manifest(folder);
    require_complete_shards(manifest, manifest_path(folder));
    for (const ShardRecord& shard : manifest.shards) require_shard_size(folder, shard);
  } catch (const FileError& damage) {
    return damage.what();
  }
  return "";
}

void retire_old_checkpoints(const std::string& directory, std::int64_t keep, std::int64_t keep_every) {
  std::vector<std::string> newest_first = committed_checkpoints(directory);
  std::reverse(newest_first.begin(), newest_first.end());
  std::int64_t good = 0;
  for (const std::string& folder : newest_first) {
    if (good < std::max<std::int64_t>(keep, 1))
      good += find_damage(folder).empty() ? 1 : 0;
    else if (!is_lasting(folder, keep_every))
      retire(folder);
  }
}

std::vector<std::string> set_aside_newer_checkpoints(const std::string& directory, std::int64_t step) {
  std::vector<std::string> moved;
  for (const std::string& folder : committed_checkpoints(directory)) {
    if (checkpoint_step(last_name(folder)) <= step) continue;
    const std::string base = directory + "/" + abandoned_prefix + last_name(folder);
    std::string name = base;
    for (int copy = 2; fs::exists(name); ++copy) name = fmt::format("{}-{}", base, copy);
    std::error_code problem;
    fs::rename(folder, name, problem);
    if (problem) fail(folder, "rename to " + name, problem);
    moved.push_back(name);
  }
  if (!moved.empty()) synchronize_folder(directory);
  return moved;
}

void remove_uncommitted(const std::string& folder) {
  if (!is_committed(folder)) remove_all(folder);
}

std::vector<std::string> remove_orphans(const std::string& directory) {
  std::vector<std::string> removed;
  for (const std::string& folder : step_folders(directory)) {
    if (is_committed(folder)) {
      remove_temporary_files(folder, removed);
    } else {
      removed.push_back(folder);
      remove_all(folder);
    }
  }
  remove_temporary_files(directory, removed);
  return removed;
}

void read_ranges(const std::string& folder, const Manifest& manifest, StateTensor tensor,
                 std::span<const ShardRange> ranges, std::span<float> values) {
  CheckpointReader(folder, manifest, ShardCheck::size).read(tensor, ranges, values);
}

}  // namespace cola
