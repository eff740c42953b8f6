#include "io/checkpoints/staged_shard.h"

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <utility>

#include "core/error.h"
#include "core/fault_point.h"
#include "io/checkpoints/checkpoint_directory.h"
#include "io/checkpoints/shard_writer.h"
#include "io/files/checksum.h"
#include "io/files/durable_file.h"

namespace cola {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view part_suffix = ".json";

std::string part_path(const std::string& folder, const std::string& shard_file) {
  return folder + "/" + shard_file + std::string(part_suffix);
}

}  // namespace

std::string staging_directory(const std::string& local_directory, const std::string& run_directory) {
  std::error_code problem;
  const std::string run = fs::weakly_canonical(fs::absolute(run_directory), problem).string();
  if (problem) throw FileError("{}: cannot be found: {}", run_directory, problem.message());
  return fmt::format("{}/{}-{}", local_directory, last_name(run), checksum_of(run).substr(0, 8));
}

void make_staging_directory(const std::string& staging) {
  make_folder(staging);
  if (::access(staging.c_str(), W_OK | X_OK) != 0)
    throw FileError("{}: cannot be written into: {}", staging, system_reason(errno));
}

std::string attempt_directory(const std::string& staging, const std::string& attempt) {
  return staging + "/attempt-" + attempt;
}

void stage_shard(const std::string& folder, const Manifest& part) {
  write_file(part_path(folder, part.shards.at(0).file), to_json(part));
}

std::vector<StagedShard> staged_shards(const std::string& attempt_directory) {
  std::vector<StagedShard> found;
  for (const std::string& folder : step_folders(attempt_directory)) {
    for (const std::string& name : names_in(folder)) {
      const std::string path = folder + "/" + name;
      if (!path.ends_with(part_suffix)) continue;
      const std::string text = read_file(path);
      try {
        found.push_back({folder, manifest_from_json(text, path)});
      } catch (const FileError&) {  // half a file: its shard was not staged
      }
    }
  }
  return found;
}

void drain_shard(const std::string& from, const std::string& to, const ShardRecord& record, bool verify,
                 WritePace pace) {
  fault_point("drain");
  require_free_space(to, record.bytes, to + "/" + record.file);
  make_folder(to);
  TemporaryFile temporary(to + "/" + record.file);
  const std::string path = from + "/" + record.file;
  FileDescriptor source = FileDescriptor::open_to_read(path);
  FileDescriptor target = FileDescriptor::create(temporary.temporary_path());
  source.bypass_cache();
  target.bypass_cache();
  Checksum checksum;
  source.for_each_block([&](std::int64_t offset, std::span<const std::byte> block) {
    checksum.update(block);
    target.write_at(offset, block);
    target.start_flush(offset, block.size());
    pace.spend(block.size());
  });
  if (checksum.digits() != record.checksum)
    throw FileError("{}: damaged: its checksum is not what was written", path);
  if (verify) temporary.read_back(target, record.checksum);
  temporary.commit(std::move(target));
}

void remove_staged(const std::string& attempt_directory, const std::string& shard_file,
                   const std::string& current) {
  for (const std::string& folder : step_folders(attempt_directory)) {
    if (folder == current) continue;
    std::error_code ignored;
    fs::remove(part_path(folder, shard_file), ignored);
    fs::remove(folder + "/" + shard_file, ignored);
    fs::remove(folder, ignored);  // if it is empty now: other ranks of the node use it too
  }
}

}  // namespace cola
