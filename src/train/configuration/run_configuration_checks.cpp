// Combinations of settings that cannot work, found before a run begins.
#include <fmt/format.h>

#include <utility>

#include "train/configuration/run_configuration.h"

namespace cola {

namespace {

ConfigurationProblem find_run_problem(const RunSection& run) {
  if (run.name.find('/') != std::string::npos || run.name == "." || run.name == "..")
    return {"run.name", fmt::format("names a directory under runs/ and cannot be '{}'", run.name)};
  return {};
}

// A folder of that name would be made, or not be found.
ConfigurationProblem find_path_problem(const RunConfiguration& c) {
  std::vector<std::pair<const char*, std::string>> paths{{"run.dir", c.run.dir}};
  for (const std::string& path : c.data.train) paths.emplace_back("data.train", path);
  for (const std::string& path : c.data.validation) paths.emplace_back("data.validation", path);
  if (c.checkpoint.local_dir) paths.emplace_back("checkpoint.local_dir", *c.checkpoint.local_dir);
  for (const auto& [key, path] : paths)
    if (path.starts_with('~'))
      return {key,
              fmt::format("'{}' begins with ~, which only a shell replaces; write the folder out", path)};
  return {};
}

ConfigurationProblem find_blend_problem(const RunConfiguration& c) {
  if (c.data.weights.empty() || c.data.weights.size() == c.data.train.size()) return {};
  return {"data.weights", fmt::format("must have a number for every entry of data.train ({}), got {}",
                                      c.data.train.size(), c.data.weights.size())};
}

// What a GPU alone has, asked of a CPU.
ConfigurationProblem find_device_problem(const RunConfiguration& c) {
  if (c.train.device != DeviceChoice::cpu) return {};
  if (c.parallel.collectives == Collectives::nccl)
    return {"parallel.collectives", "nccl needs train.device cuda; ranks on the cpu use mpi"};
  if (c.train.attention != AttentionChoice::automatic)
    return {"train.attention", "chooses kernels of a GPU, and train.device is cpu; leave it at auto"};
  if (c.train.cuda_graphs == RecordedPasses::on)
    return {"train.cuda_graphs", "on needs train.device cuda; leave it at auto"};
  return {};
}

ConfigurationProblem find_length_problem(const RunConfiguration& c) {
  if (c.data.sequence_length > c.model.max_position_embeddings)
    return {"data.sequence_length", fmt::format("must not exceed model.max_position_embeddings ({}), got {}",
                                                c.model.max_position_embeddings, c.data.sequence_length)};
  if (c.schedule.warmup_steps > c.schedule.total_steps)
    return {"schedule.warmup_steps", fmt::format("must not exceed schedule.total_steps ({}), got {}",
                                                 c.schedule.total_steps, c.schedule.warmup_steps)};
  const std::int64_t after_warmup = c.schedule.total_steps - c.schedule.warmup_steps;
  if (c.schedule.decay_steps > after_warmup)
    return {"schedule.decay_steps", fmt::format("must not exceed the steps after the warm-up ({}), got {}",
                                                after_warmup, c.schedule.decay_steps)};
  if (c.train.global_batch % c.train.micro_batch != 0)
    return {"train.global_batch", fmt::format("must be a multiple of train.micro_batch ({}), got {}",
                                              c.train.micro_batch, c.train.global_batch)};
  return {};
}

// A step that no checkpoint is made of cannot be kept.
ConfigurationProblem find_checkpoint_problem(const RunConfiguration& c) {
  const CheckpointSection& checkpoint = c.checkpoint;
  if (checkpoint.keep_every == 0) return {};
  if (checkpoint.every == 0)
    return {"checkpoint.keep_every", "needs checkpoint.every: without it only the last step is saved"};
  if (checkpoint.keep_every % checkpoint.every != 0)
    return {"checkpoint.keep_every", fmt::format("must be a multiple of checkpoint.every ({}), got {}",
                                                 checkpoint.every, checkpoint.keep_every)};
  return {};
}

ConfigurationProblem find_method_problem(const RunConfiguration& c) {
  if (c.train.recompute == Recompute::cola_m && c.model.projection == ProjectionKind::full)
    return {"train.recompute", "cola_m needs model.projection cola; a full-rank model can use block"};
  if (c.parallel.zero_stage < 0 || c.parallel.zero_stage > 3)
    return {
        "parallel.zero_stage",
        fmt::format("must be 0 (nothing is split over ranks), 1 (optimizer state is), 2 (gradients too) or 3 "
                    "(weights too), got {}",
                    c.parallel.zero_stage)};
  return {};
}

}  // namespace

ConfigurationProblem find_problem(const RunConfiguration& configuration) {
  ConfigurationProblem problem = find_run_problem(configuration.run);
  if (!problem.key.empty()) return problem;
  problem = find_problem(configuration.model);
  if (!problem.key.empty()) return {"model." + problem.key, problem.problem};
  for (const auto find : {find_path_problem, find_blend_problem, find_length_problem, find_checkpoint_problem,
                          find_method_problem, find_device_problem})
    if (problem = find(configuration); !problem.key.empty()) return problem;
  return {};
}

}  // namespace cola
