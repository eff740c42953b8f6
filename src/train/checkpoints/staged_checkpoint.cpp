#include "train/checkpoints/staged_checkpoint.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/log.h"
#include "io/checkpoints/checkpoint_directory.h"
#include "io/checkpoints/shard_file.h"
#include "io/checkpoints/staged_shard.h"
#include "io/files/durable_file.h"
#include "io/files/run_directory.h"
#include "train/agreement.h"
#include "train/checkpoints/training_state.h"
#include "train/ranks_of_node.h"

namespace cola {

namespace {

// Empty where there was none. For rank 0.
std::string last_attempt(const RunConfiguration& configuration) {
  const std::string path = attempt_file(configuration.run.dir);
  std::error_code problem;
  if (std::filesystem::status(path, problem).type() == std::filesystem::file_type::not_found) return {};
  std::string name = read_file(path);
  while (!name.empty() && name.back() == '\n') name.pop_back();
  return name;
}

// What a node holds of each step, in one manifest: there are as many records as shards, but the rest is long
// and the same in all.
std::map<std::int64_t, Manifest> joined(const std::vector<StagedShard>& shards) {
  std::map<std::int64_t, Manifest> steps;
  for (const StagedShard& shard : shards) {
    const auto [found, is_new] = steps.try_emplace(shard.part.step, shard.part);
    if (!is_new) found->second.shards.push_back(shard.part.shards.at(0));
  }
  return steps;
}

// The same manifests on all ranks: what each node has staged, told by the first of its ranks.
std::vector<std::vector<Manifest>> gather_parts(Communicator& communicator,
                                                const std::map<std::int64_t, Manifest>& own) {
  std::string text;
  for (const auto& [step, part] : own) text += to_json(part) + '\0';
  std::vector<std::vector<Manifest>> parts;
  for (const std::string& texts : communicator.all_gather(text)) {
    parts.emplace_back();
    for (std::size_t begin = 0, end = 0; (end = texts.find('\0', begin)) != texts.npos; begin = end + 1)
      parts.back().push_back(manifest_from_json(texts.substr(begin, end - begin), "a staged shard"));
  }
  return parts;
}

// A checkpoint put together from what the nodes hold, and of each shard the first rank of the first node that
// has it.
struct Candidate {
  Manifest manifest;
  std::vector<int> first_ranks;

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
      if (candidate.first_ranks.empty()) candidate.manifest.shards.clear();
      for (const ShardRecord& shard : part.shards) {
        if (candidate.holds(shard.file)) continue;
        candidate.manifest.shards.push_back(shard);
        candidate.first_ranks.push_back(static_cast<int>(rank));
      }
    }
  return candidates;
}

bool is_complete(const Candidate& candidate) {
  return error_of([&] { require_complete_shards(candidate.manifest, "staged"); }).empty();
}

// Does what may take long, and returns the error of the lowest rank that has one. Collective.
template <typename Action>
RankWord first_error_of(Communicator& communicator, Action&& action) {
  return first_told(communicator, error_of_slow(communicator, action));
}

// For each shard of a candidate, on a rank of the node that has it: all of them share the work.
template <typename Action>
RankWord share_among_node(Communicator& communicator, const std::vector<int>& node,
                          const Candidate& candidate, Action&& action) {
  return first_error_of(communicator, [&] {
    std::size_t turn = 0;
    for (std::size_t i = 0; i < candidate.first_ranks.size(); ++i)
      if (candidate.first_ranks[i] == node.front() && node[turn++ % node.size()] == communicator.rank())
        action(candidate.manifest.shards[i]);
  });
}

// The newest step of which all shards are there and whole. The same on all ranks.
std::optional<Candidate> find_newest_whole(Communicator& communicator, const std::vector<int>& node,
                                           const std::string& attempt, std::int64_t committed_step) {
  std::map<std::int64_t, Manifest> own;
  const std::string trouble = error_of([&] {
    if (communicator.rank() == node.front()) own = joined(staged_shards(attempt));
  });
  if (!trouble.empty()) warning("{}; what is staged there is passed over", trouble);
  std::map<std::int64_t, Candidate> candidates = candidates_of(gather_parts(communicator, own));
  for (; !candidates.empty(); candidates.erase(std::prev(candidates.end()))) {
    const auto& [step, candidate] = *candidates.rbegin();
    if (step <= committed_step) break;
    if (!is_complete(candidate)) continue;
    const std::string folder = attempt + "/" + checkpoint_name(step);
    const RankWord damage = share_among_node(communicator, node, candidate,
                                             [&](const auto& shard) { verify_shard(folder, shard); });
    if (damage.text.empty()) return candidate;
    if (communicator.rank() == damage.rank)
      warning("{}; step {} is not drained from there", damage.text, step);
  }
  return std::nullopt;
}

// The ranks of a node drain its shards together; rank 0 publishes. Returns the first error.
RankWord commit(Communicator& communicator, const std::vector<int>& node, const Candidate& candidate,
                const std::string& attempt, const RunConfiguration& configuration) {
  const std::string name = checkpoint_name(candidate.manifest.step);
  const std::string from = attempt + "/" + name, to = checkpoints_of(configuration) + "/" + name;
  const RankWord error = share_among_node(communicator, node, candidate, [&](const auto& shard) {
    drain_shard(from, to, shard, configuration.checkpoint.verify);
  });
  const auto on_first = [&](const auto& action) {
    return first_error_of(communicator, [&] {
      if (communicator.rank() == 0) action();
    });
  };
  if (error.text.empty()) return on_first([&] { publish_manifest(to, candidate.manifest); });
  on_first([&] { remove_uncommitted(to); });  // the disk may be full
  return error;
}

}  // namespace

std::string begin_attempt(const RunConfiguration& configuration) {
  std::random_device random;
  const std::string name = fmt::format("{:08x}{:08x}", random(), random());
  write_file(attempt_file(configuration.run.dir), name + "\n");
  return name;
}

void commit_staged_checkpoint(Communicator& communicator, const RunConfiguration& configuration) {
  const std::string directory = checkpoints_of(configuration);
  std::string last;
  std::array<std::int64_t, 1> committed_step{-1};
  on_rank_0(communicator, [&] {
    last = last_attempt(configuration);
    const std::vector<std::string> committed = committed_checkpoints(directory);
    if (!committed.empty()) committed_step[0] = checkpoint_step(last_name(committed.back())).value();
  });
  communicator.all_reduce_maximum(committed_step);
  last = shared_text(communicator, last);
  if (last.empty()) return;
  const std::string staging = staging_directory(*configuration.checkpoint.local_dir, configuration.run.dir);
  const std::string attempt = attempt_directory(staging, last);
  const std::vector<int> node = ranks_of_node(communicator);
  const auto candidate = find_newest_whole(communicator, node, attempt, committed_step[0]);
  if (!candidate) return;
  on_rank_0(communicator, [&] { remove_orphans(directory); });  // a crash left them, and they take room
  const RankWord error = commit(communicator, node, *candidate, attempt, configuration);
  const std::string name = checkpoint_name(candidate->manifest.step);
  if (!error.text.empty())
    throw RankError(
        {error.rank, fmt::format("{} lies whole in checkpoint.local_dir, but cannot be drained to {} ({}): "
                                 "make room or mend the disk and run the same command again; to do without "
                                 "it, remove {} on its nodes",
                                 name, directory, error.text, staging)});
  if (communicator.rank() == 0)
    information("drained {} from checkpoint.local_dir, where the run before had left it", name);
}

void clear_staged_checkpoints(Communicator& communicator, const RunConfiguration& configuration) {
  communicator.barrier();  // nobody reads there any more
  std::error_code ignored;
  std::filesystem::remove_all(staging_directory(*configuration.checkpoint.local_dir, configuration.run.dir),
                              ignored);
  communicator.barrier();  // nobody writes there yet
}

void prepare_staging(Communicator& communicator, const RunConfiguration& configuration, const ShardMap& map) {
  const auto here = static_cast<std::uint64_t>(writers_among(ranks_of_node(communicator), map.shards()));
  const std::string& local = *configuration.checkpoint.local_dir;
  const bool looks = communicator.rank() < map.shards();
  const std::string own = error_of_slow(communicator, [&] {
    if (!looks) return;
    const std::string obstacle =
        error_of([&] { make_staging_directory(staging_directory(local, configuration.run.dir)); });
    if (!obstacle.empty()) throw FileError("checkpoint.local_dir: {}", obstacle);
    require_free_space(local, here * shard_bytes(map.shard_elements()),
                       fmt::format("checkpoint.local_dir: {}, for {} shards", local, here));
  });
  RankWord error = first_told_of_one_thing(communicator, own, looks);
  if (error.text.empty()) return;
  clear_staged_checkpoints(communicator, configuration);  // other ranks have made their folders
  throw RankError(std::move(error));
}

}  // namespace cola
