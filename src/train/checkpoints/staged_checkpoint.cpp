#include "train/checkpoints/staged_checkpoint.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/log.h"
#include "io/checkpoint_directory.h"
#include "io/durable_file.h"
#include "io/staged_shard.h"
#include "train/agreement.h"
#include "train/checkpoints/resume.h"

namespace cola {

namespace {

std::string attempt_path(const RunConfiguration& configuration) {
  return configuration.run.dir + "/attempt";
}

// Empty where there was none, or nothing of it can be read. For rank 0.
std::string last_attempt(const RunConfiguration& configuration) {
  std::string name;
  error_of([&] { name = read_file(attempt_path(configuration)); });
  while (!name.empty() && name.back() == '\n') name.pop_back();
  return name;
}

// The same manifests on all ranks: what each rank's node has staged, one text a rank.
std::vector<std::vector<Manifest>> gather_parts(Communicator& communicator,
                                                const std::vector<StagedShard>& own) {
  std::string text;
  for (const StagedShard& shard : own) text += to_json(shard.part) + '\0';
  std::vector<std::vector<Manifest>> parts;
  for (const std::string& texts : communicator.all_gather(text)) {
    parts.emplace_back();
    for (std::size_t begin = 0, end = 0; (end = texts.find('\0', begin)) != texts.npos; begin = end + 1)
      parts.back().push_back(manifest_from_json(texts.substr(begin, end - begin), "a staged shard"));
  }
  return parts;
}

// A checkpoint put together from what the nodes hold, and the lowest rank that sees each of its shards.
struct Candidate {
  Manifest manifest;
  std::vector<int> owners;

  bool holds(const std::string& file) const {
    return std::any_of(manifest.shards.begin(), manifest.shards.end(),
                       [&](const ShardRecord& shard) { return shard.file == file; });
  }
};

std::map<std::int64_t, Candidate> candidates_of(const std::vector<std::vector<Manifest>>& parts) {
  std::map<std::int64_t, Candidate> candidates;
  for (std::size_t rank = 0; rank < parts.size(); ++rank)
    for (const Manifest& part : parts[rank]) {
      Candidate& candidate = candidates.try_emplace(part.step, Candidate{part, {}}).first->second;
      if (candidate.owners.empty()) candidate.manifest.shards.clear();
      if (candidate.holds(part.shards.at(0).file)) continue;
      candidate.manifest.shards.push_back(part.shards.at(0));
      candidate.owners.push_back(static_cast<int>(rank));
    }
  return candidates;
}

bool is_complete(const Candidate& candidate) {
  return error_of([&] { require_complete_shards(candidate.manifest, "staged"); }).empty();
}

// Each rank drains the shards it is the first to see; rank 0 publishes. Returns the first error.
std::string commit(Communicator& communicator, const Candidate& candidate, const std::string& attempt,
                   const std::string& directory, bool verify) {
  const std::string name = checkpoint_name(candidate.manifest.step);
  const auto first_error = [&](const std::string& own) {
    for (const std::string& error : communicator.all_gather(own))
      if (!error.empty()) return error;
    return std::string();
  };
  const std::string error = first_error(error_of_slow(communicator, [&] {
    for (std::size_t i = 0; i < candidate.owners.size(); ++i)
      if (candidate.owners[i] == communicator.rank())
        drain_shard(attempt + "/" + name, directory + "/" + name, candidate.manifest.shards[i], verify);
  }));
  if (!error.empty()) return error;
  return first_error(error_of_slow(communicator, [&] {
    if (communicator.rank() == 0) publish_manifest(directory + "/" + name, candidate.manifest);
  }));
}

}  // namespace

std::string begin_attempt(const RunConfiguration& configuration) {
  std::random_device random;
  const std::string name = fmt::format("{:08x}{:08x}", random(), random());
  write_file(attempt_path(configuration), name + "\n");
  return name;
}

void commit_staged_checkpoint(Communicator& communicator, const RunConfiguration& configuration) {
  const std::string directory = checkpoints_of(configuration);
  std::string newest, last;
  on_rank_0(communicator, [&] {
    last = last_attempt(configuration);
    const std::vector<std::string> committed = committed_checkpoints(directory);
    if (!committed.empty()) newest = last_name(committed.back());
  });
  newest = shared_text(communicator, newest);
  last = shared_text(communicator, last);
  if (last.empty()) return;
  const std::string attempt =
      attempt_directory(staging_directory(*configuration.checkpoint.local_dir, configuration.run.dir), last);
  std::vector<StagedShard> own;
  const std::string trouble = error_of([&] { own = staged_shards(attempt); });
  if (!trouble.empty()) warning("{}; what is staged there is passed over", trouble);
  std::map<std::int64_t, Candidate> candidates = candidates_of(gather_parts(communicator, own));
  while (!candidates.empty() && !is_complete(candidates.rbegin()->second))
    candidates.erase(std::prev(candidates.end()));
  if (!candidates.empty() && checkpoint_name(candidates.rbegin()->first) > newest) {
    const std::string name = checkpoint_name(candidates.rbegin()->first);
    const std::string error = commit(communicator, candidates.rbegin()->second, attempt, directory,
                                     configuration.checkpoint.verify);
    if (communicator.rank() == 0) {
      if (error.empty())
        information("drained {} from checkpoint.local_dir, where the run before had left it", name);
      else
        warning("{} cannot be drained from checkpoint.local_dir: {}", name, error);
    }
  }
}

void clear_staged_checkpoints(Communicator& communicator, const RunConfiguration& configuration) {
  communicator.barrier();  // nobody reads there any more
  std::error_code ignored;
  std::filesystem::remove_all(staging_directory(*configuration.checkpoint.local_dir, configuration.run.dir),
                              ignored);
  communicator.barrier();  // nobody writes there yet
}

}  // namespace cola
