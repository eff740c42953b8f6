// RunConfiguration: everything a run is told, one struct a section of the YAML file. Field names are the
// file's keys.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/device.h"
#include "model/model_configuration.h"
#include "train/schedule.h"

namespace cola {

enum class Precision { automatic, fp32, bf16 };
enum class DeviceChoice { automatic, cpu, cuda };
enum class RecordedPasses { automatic, on, off };
enum class Collectives { automatic, nccl, mpi };

struct RunSection {
  std::string name = "cola", dir;  // dir: default runs/NAME
  std::uint64_t seed = 42;
  std::int64_t time_limit = 0;    // seconds from the program's start until it is killed; 0: none, or Slurm's
  std::int64_t stop_margin = 30;  // seconds kept at the end of the time limit besides steps and checkpoints
  bool operator==(const RunSection&) const = default;
};
struct DataSection {
  std::vector<std::string> train, validation;  // token files or glob patterns, as written
  std::vector<double> weights;  // of each entry of train, then a corpus of its own; empty: all are one corpus
  std::int64_t sequence_length = 256;
  bool allow_change = false;  // whether a run may resume with other training data
  bool operator==(const DataSection&) const = default;
};
struct OptimizerSection {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999;             // betas: [beta1, beta2]
  double eps = 1e-8, weight_decay = 0.01, grad_clip = 0.5;  // grad_clip 0: no clipping
  bool operator==(const OptimizerSection&) const = default;
};
struct ScheduleSection {
  std::int64_t total_steps = 1000, warmup_steps = 100;
  double min_lr_ratio = 0.1;
  Decay decay = Decay::cosine;
  std::int64_t decay_steps = 0;  // 0: all after the warm-up
  bool operator==(const ScheduleSection&) const = default;
};
struct TrainSection {
  std::int64_t global_batch = 512, micro_batch = 32;  // sequences
  Precision precision = Precision::automatic;
  Recompute recompute = Recompute::none;
  DeviceChoice device = DeviceChoice::automatic;
  AttentionChoice attention = AttentionChoice::automatic;  // on a GPU
  RecordedPasses cuda_graphs = RecordedPasses::automatic;  // on a GPU
  int threads = 0;               // CPU threads a rank; 0: the cores this rank may use
  double device_memory_gib = 0;  // what a rank may take of its device; 0: all that the device has
  bool operator==(const TrainSection&) const = default;
};
struct ParallelSection {
  int zero_stage = 1;
  Collectives collectives = Collectives::automatic;
  bool bind_network = true;            // tell transports which network cards are this rank's
  std::int64_t timeout_seconds = 600;  // of one collective; 0: none
  bool operator==(const ParallelSection&) const = default;
};
struct CheckpointSection {
  std::int64_t every = 2000, keep = 3;  // every 0: only at the end
  std::int64_t keep_every = 0;          // multiples of so many steps are kept for good; 0: none
  bool async = true;                    // false: training waits until a checkpoint is committed
  double ring_gib = 0;       // host memory a rank's snapshots pass through; 0: as much as its state takes
  double bandwidth_mib = 0;  // MiB a second that a rank writes at most; 0: as fast as it goes
  bool verify = false;       // reads every file back before it counts
  std::optional<std::string> local_dir = {};  // a node's own disk that shards are written to first
  int max_failures = 3;                       // failed checkpoints in a row that end the run
  bool operator==(const CheckpointSection&) const = default;
};
struct EvaluationSection {
  std::int64_t every = 1000;       // steps; 0: only at the end
  std::int64_t tokens = 10000000;  // at most so many validation tokens
  bool operator==(const EvaluationSection&) const = default;
};

struct RunConfiguration {
  RunSection run;
  ModelConfiguration model;
  DataSection data;
  OptimizerSection optimizer;
  ScheduleSection schedule;
  TrainSection train;
  ParallelSection parallel;
  CheckpointSection checkpoint;
  EvaluationSection evaluation;

  bool operator==(const RunConfiguration&) const = default;
};

/// Reads and checks a YAML file; `overrides` are "section.key=value", the value a YAML scalar or list, and
/// win over the file, later ones over earlier ones. Required are the model's sizes, data.train and
/// data.validation. Defaults that follow from other keys: run.dir is runs/NAME, model.num_key_value_heads is
/// model.num_attention_heads, model.rank is model.hidden_size / 4. Throws UsageError with one line:
/// "FILE:LINE: section.key: problem" or
/// "--set section.key=value: problem"; for an unknown key the problem names the nearest known one.
RunConfiguration load_run_configuration(const std::string& path, const std::vector<std::string>& overrides);

/// The configuration as YAML that load_run_configuration reads back to the same value; an empty run.dir is
/// written as the runs/NAME it stands for.
std::string to_yaml(const RunConfiguration& configuration);

/// One key, as "section.key", and its value as YAML on one line.
struct Setting {
  std::string key, value;
  bool operator==(const Setting&) const = default;
};
/// Every key, in the order of to_yaml.
std::vector<Setting> settings_of(const RunConfiguration& configuration);

/// load_run_configuration from YAML text, for configurations kept inside a checkpoint; `origin` names it in
/// messages.
RunConfiguration parse_run_configuration(const std::string& yaml, const std::string& origin);

/// The first combination of settings that cannot work, the key being "section.key"; both texts are empty when
/// all is well. Ranges of single numbers are checked while reading.
ConfigurationProblem find_problem(const RunConfiguration& configuration);

}  // namespace cola
