// Combinations of settings that cannot work, found before a run begins.
#include <fmt/format.h>

#include "train/configuration/run_configuration.h"

namespace cola {

namespace {

ConfigurationProblem find_run_problem(const RunSection& run) {
  if (run.name.find('/') != std::string::npos || run.name == "." || run.name == "..")
    return {"run.name", fmt::format("names a directory under runs/ and cannot be '{}'", run.name)};
  return {};
}

ConfigurationProblem find_length_problem(const RunConfiguration& c) {
  if (c.data.sequence_length > c.model.max_position_embeddings)
    return {"data.sequence_length", fmt::format("must not exceed model.max_position_embeddings ({}), got {}",
                                                c.model.max_position_embeddings, c.data.sequence_length)};
  if (c.schedule.warmup_steps > c.schedule.total_steps)
    return {"schedule.warmup_steps", fmt::format("must not exceed schedule.total_steps ({}), got {}",
                                                 c.schedule.total_steps, c.schedule.warmup_steps)};
  if (c.train.global_batch % c.train.micro_batch != 0)
    return {"train.global_batch", fmt::format("must be a multiple of train.micro_batch ({}), got {}",
                                              c.train.micro_batch, c.train.global_batch)};
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
  if (c.parallel.collectives == Collectives::nccl && c.train.device == DeviceChoice::cpu)
    return {"parallel.collectives", "nccl needs train.device cuda; ranks on the cpu use mpi"};
  return {};
}

}  // namespace

ConfigurationProblem find_problem(const RunConfiguration& configuration) {
  ConfigurationProblem problem = find_run_problem(configuration.run);
  if (!problem.key.empty()) return problem;
  problem = find_problem(configuration.model);
  if (!problem.key.empty()) return {"model." + problem.key, problem.problem};
  problem = find_length_problem(configuration);
  return problem.key.empty() ? find_method_problem(configuration) : problem;
}

}  // namespace cola
