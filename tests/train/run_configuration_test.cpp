#include "train/configuration/run_configuration.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include "core/error.h"
#include "model/parameter_table.h"
#include "support/test_data.h"
#include "train/configuration/other_names.h"

namespace cola {
namespace {

// 6 lines of a configuration with nothing but what is required; more can follow.
const std::string smallest =
    "model:\n"
    "  {vocab_size: 258, hidden_size: 64, intermediate_size: 172,\n"
    "   num_hidden_layers: 2, num_attention_heads: 4}\n"
    "data:\n"
    "  train: [train.h5]\n"
    "  validation: [validation.h5]\n";

std::string shipped(const std::string& size) {
  return test_data("configs/" + size + ".yaml");
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t found = text.find(from);
  EXPECT_NE(found, std::string::npos) << from;
  return text.replace(found, from.size(), to);
}

class RunConfigurationTest : public testing::Test {
 protected:
  RunConfigurationTest()
      : directory_(std::filesystem::temp_directory_path() /
                   ("cola_configuration_" + std::to_string(getpid()))) {
    std::filesystem::create_directories(directory_);
  }
  ~RunConfigurationTest() override { std::filesystem::remove_all(directory_); }

  std::string path() const { return (directory_ / "bad.yaml").string(); }

  RunConfiguration load(const std::string& yaml, const std::vector<std::string>& overrides = {}) const {
    std::ofstream(path(), std::ios::binary) << yaml;
    return load_run_configuration(path(), overrides);
  }

  // The message of the UsageError, the directory left out.
  std::string message(const std::string& yaml, const std::vector<std::string>& overrides = {}) const {
    try {
      load(yaml, overrides);
    } catch (const UsageError& error) {
      const std::string text = error.what();
      EXPECT_EQ(text.find('\n'), std::string::npos) << text;
      const std::string prefix = directory_.string() + "/";
      return text.starts_with(prefix) ? text.substr(prefix.size()) : text;
    }
    return "no error";
  }

  std::filesystem::path directory_;
};

TEST_F(RunConfigurationTest, FillsInDefaults) {
  const RunConfiguration c = load(smallest);
  EXPECT_EQ(c.run.name, "cola");
  EXPECT_EQ(c.run.dir, "runs/cola");
  EXPECT_EQ(c.run.seed, 42u);
  EXPECT_EQ(c.model.num_key_value_heads, 4);
  EXPECT_EQ(c.model.rank, 16);
  EXPECT_EQ(c.model.projection, ProjectionKind::cola);
  EXPECT_FALSE(c.model.gate_activation);
  EXPECT_EQ(c.data.train, std::vector<std::string>{"train.h5"});
  EXPECT_EQ(c.optimizer, OptimizerSection{});
  EXPECT_EQ(c.schedule, ScheduleSection{});
  EXPECT_EQ(c.train, TrainSection{});
  EXPECT_EQ(c.parallel, ParallelSection{});
  EXPECT_EQ(c.checkpoint, CheckpointSection{});
  EXPECT_EQ(c.evaluation, EvaluationSection{});
}

// A checkpoint's manifest could not keep it.
TEST_F(RunConfigurationTest, RefusesTextThatIsNoUtf8) {
  EXPECT_EQ(load(smallest, {"run.dir=caf\xC3\xA9"}).run.dir, "caf\xC3\xA9");
  for (const std::string key : {"run.dir", "run.name", "checkpoint.local_dir", "data.train"}) {
    const std::string value = key == "data.train" ? "[caf\xE9.h5]" : "caf\xE9";
    const std::string said = message(smallest, {key + "=" + value});
    EXPECT_NE(said.find("must be UTF-8, got 'caf\xEF\xBF\xBD"), std::string::npos) << key << ": " << said;
  }
}

// The example of the documentation, every key given, none at its default.
TEST_F(RunConfigurationTest, ReadsEveryKey) {
  const RunConfiguration c = load(R"(
run:        {name: other, dir: /scratch/other, seed: 18446744073709551615}
model:      {vocab_size: 300, hidden_size: 128, intermediate_size: 341, num_hidden_layers: 3, num_attention_heads: 8,
             num_key_value_heads: 2, max_position_embeddings: 512, rms_norm_eps: 1.0e-5, rope_theta: 500000,
             projection: full, rank: 24, gate_activation: true}
data:       {train: [a.h5, "b c.h5"], weights: [7, 0.5], validation: ['*.h5'], sequence_length: 128,
             allow_change: true}
optimizer:  {lr: 2.0e-3, betas: [0.8, 0.95], eps: 1.0e-7, weight_decay: 0.1, grad_clip: 0}
schedule:   {total_steps: 9, warmup_steps: 5, min_lr_ratio: 0, decay: linear, decay_steps: 4}
train:      {global_batch: 12, micro_batch: 4, precision: bf16, recompute: block, device: cuda, attention: flash,
             cuda_graphs: off, threads: 3}
parallel:   {zero_stage: 0, collectives: nccl, bind_network: false, timeout_seconds: 30}
checkpoint: {every: 100, keep: 1, keep_every: 300, async: false, ring_gib: 1.5, bandwidth_mib: 200, verify: true,
             local_dir: /nvme, max_failures: 5}
evaluation: {every: 0, tokens: 1000}
)");
  RunConfiguration expected;
  expected.run = {"other", "/scratch/other", std::numeric_limits<std::uint64_t>::max()};
  expected.model = {300, 128, 341, 3, 8, 2, 512, 1e-5, 500000, ProjectionKind::full, 24, true};
  expected.data = {{"a.h5", "b c.h5"}, {"*.h5"}, {7, 0.5}, 128, true};
  expected.optimizer = {2e-3, 0.8, 0.95, 1e-7, 0.1, 0};
  expected.schedule = {9, 5, 0, Decay::linear, 4};
  expected.train = {12,
                    4,
                    Precision::bf16,
                    Recompute::block,
                    DeviceChoice::cuda,
                    AttentionChoice::flash,
                    RecordedPasses::off,
                    3};
  expected.parallel = {0, Collectives::nccl, false, 30};
  expected.checkpoint = {100, 1, 300, false, 1.5, 200, true, "/nvme", 5};
  expected.evaluation = {0, 1000};
  EXPECT_EQ(c, expected);
  EXPECT_EQ(parse_run_configuration(to_yaml(c), "printed"), expected);
}

TEST(OtherNames, StandForKeysThatThereAre) {
  const std::string defaults = to_yaml(RunConfiguration{});
  for (const OtherName& name : other_names) {
    const std::size_t dot = name.key.find('.');
    const std::string section(name.key.substr(0, dot)), key(name.key.substr(dot + 1));
    EXPECT_NE(defaults.find("\n  " + key + ": "), std::string::npos) << name.key;
    EXPECT_NE(defaults.find(section + ":\n"), std::string::npos) << name.key;
    EXPECT_EQ(defaults.find("\n  " + std::string(name.word) + ": "), std::string::npos)
        << name.word << " is a key itself";
  }
}

TEST_F(RunConfigurationTest, TakesNoWeightsOrOneForEveryEntry) {
  EXPECT_TRUE(load(smallest).data.weights.empty());
  EXPECT_NE(to_yaml(load(smallest)).find("\n  weights: []\n"), std::string::npos);
  EXPECT_EQ(parse_run_configuration(to_yaml(load(smallest)), "printed"), load(smallest));
  const std::string two = "data.train=[a.h5, b.h5]";
  EXPECT_EQ(load(smallest, {"data.weights=[2]"}).data.weights, (std::vector<double>{2}));
  EXPECT_EQ(load(smallest, {two, "data.weights=[1e-6, 3000000000]"}).data.weights,
            (std::vector<double>{1e-6, 3e9}));
  const std::vector<std::pair<std::string, std::string>> refused = {
      {"[1]", "must have a number for every entry of data.train (2), got 1"},
      {"[1, 2, 3]", "must have a number for every entry of data.train (2), got 3"},
      {"[1, 0]", "must be greater than 0, got 0"},
      {"[-1, 1]", "must be greater than 0, got -1"},
      {"[1, .inf]", "expected a finite number, got '.inf'"},
      {"[.nan, 1]", "expected a finite number, got '.nan'"},
      {"[1, 1e19]", "must be at most 1000000000000000000, got 1e+19"},
      {"[1, much]", "expected a number, got 'much'"},
      {"1", "expected a list such as [0.7, 0.3], got '1'"},
  };
  for (const auto& [weights, problem] : refused) {
    EXPECT_EQ(message(smallest, {two, "data.weights=" + weights}),
              "--set data.weights=" + weights + ": " + problem);
    EXPECT_EQ(message(smallest + "  weights: " + weights + "\n", {two}),
              "bad.yaml:7: data.weights: " + problem);
  }
}

struct BadFile {
  std::string added, message;  // what follows the smallest configuration, from line 7 on
};

TEST_F(RunConfigurationTest, RejectsBadSections) {
  const std::vector<BadFile> files = {
      {"trian: {global_batch: 4}\n",
       "bad.yaml:7: trian: unknown section; the nearest known section is 'train'"},
      {"lr: 1.0e-3\n", "bad.yaml:7: lr: unknown section; the nearest known key is 'optimizer.lr'"},
      {"train.micro_batch: 4\n",
       "bad.yaml:7: train.micro_batch: unknown section; the nearest known key is 'train.micro_batch'"},
      {"train:\n  micro_batch: 4\n  globl_batch: 8\n",
       "bad.yaml:9: train.globl_batch: unknown key; the nearest known key is 'train.global_batch'"},
      {"train:\n  lr: 1.0e-3\n",
       "bad.yaml:8: train.lr: unknown key; the nearest known key is 'optimizer.lr'"},
      {"train:\n  batch_size: 8\n",
       "bad.yaml:8: train.batch_size: unknown key; the nearest known key is 'train.global_batch'"},
      {"schedule:\n  shape: cosine\n",
       "bad.yaml:8: schedule.shape: unknown key; the nearest known key is 'schedule.decay' (schedule has: "
       "total_steps, warmup_steps, min_lr_ratio, decay, decay_steps)"},
      {"train: 7\n", "bad.yaml:7: train: expected a mapping of keys"},
      {"train:\n", "bad.yaml:7: train: expected a mapping of keys"},
      {"train:\n  micro_batch: 4\n  device: cpu\n  micro_batch: 8\n",
       "bad.yaml:10: train.micro_batch: is given twice, first at " + path() + ":8"},
      {"data: {sequence_length: 64}\n", "bad.yaml:7: data: is given twice, first at " + path() + ":4"},
      {"train:\n\tmicro_batch: 4\n",
       "bad.yaml:8: no valid YAML: illegal map value (a tab cannot indent YAML: use blanks)"},
      {"train: {micro_batch: 4\nrun: {name: a}\n", "bad.yaml:8: no valid YAML: end of map flow not found"},
  };
  for (const BadFile& file : files) EXPECT_EQ(message(smallest + file.added), file.message) << file.added;
}

TEST_F(RunConfigurationTest, RejectsValuesOfTheWrongType) {
  const std::vector<BadFile> files = {
      {"train: {global_batch: many}\n",
       "bad.yaml:7: train.global_batch: expected a whole number, got 'many'"},
      {"train: {global_batch: 1e3}\n", "bad.yaml:7: train.global_batch: expected a whole number, got '1e3'"},
      {"train: {global_batch: '64'}\n",
       "bad.yaml:7: train.global_batch: expected a whole number, got the text '64'"},
      {"train:\n  global_batch:\n", "bad.yaml:8: train.global_batch: expected a whole number, got nothing"},
      {"train: {precision: fp16}\n",
       "bad.yaml:7: train.precision: expected one of auto, fp32, bf16; got 'fp16'"},
      {"train: {recompute: all}\n",
       "bad.yaml:7: train.recompute: expected one of none, cola_m, block; got 'all'"},
      {"train: {device: gpu}\n", "bad.yaml:7: train.device: expected one of auto, cpu, cuda; got 'gpu'"},
      {"parallel: {collectives: gloo}\n",
       "bad.yaml:7: parallel.collectives: expected one of auto, nccl, mpi; got 'gloo'"},
      {"optimizer: {lr: fast}\n", "bad.yaml:7: optimizer.lr: expected a number, got 'fast'"},
      {"optimizer: {lr: .nan}\n", "bad.yaml:7: optimizer.lr: expected a finite number, got '.nan'"},
      {"optimizer: {weight_decay: .inf}\n",
       "bad.yaml:7: optimizer.weight_decay: expected a finite number, got '.inf'"},
      {"optimizer: {betas: 0.9}\n",
       "bad.yaml:7: optimizer.betas: expected a list such as [0.9, 0.999], got '0.9'"},
      {"optimizer: {betas: [0.9]}\n", "bad.yaml:7: optimizer.betas: expected a list of two numbers, got 1"},
      {"optimizer:\n  betas:\n    - 0.9\n    - high\n",
       "bad.yaml:10: optimizer.betas: expected a number, got 'high'"},
      {"checkpoint: {async: yes}\n", "bad.yaml:7: checkpoint.async: expected true or false, got 'yes'"},
      {"run: {name: ''}\n", "bad.yaml:7: run.name: must not be empty"},
      {"run: {name: [a]}\n", "bad.yaml:7: run.name: expected text, got a list"},
      {"run: {seed: -1}\n", "bad.yaml:7: run.seed: must be between 0 and 18446744073709551615, got -1"},
  };
  for (const BadFile& file : files) EXPECT_EQ(message(smallest + file.added), file.message) << file.added;
}

TEST_F(RunConfigurationTest, RejectsValuesOutOfRange) {
  const std::vector<BadFile> files = {
      {"train: {global_batch: 0}\n", "bad.yaml:7: train.global_batch: must be at least 1, got 0"},
      {"train: {micro_batch: -4}\n", "bad.yaml:7: train.micro_batch: must be at least 1, got -4"},
      {"train: {threads: -1}\n", "bad.yaml:7: train.threads: must be at least 0, got -1"},
      {"schedule: {total_steps: 3000000000}\n",
       "bad.yaml:7: schedule.total_steps: must be at most 2147483647, got 3000000000"},
      {"schedule: {warmup_steps: -1}\n", "bad.yaml:7: schedule.warmup_steps: must be at least 0, got -1"},
      {"schedule: {min_lr_ratio: 1.5}\n", "bad.yaml:7: schedule.min_lr_ratio: must be at most 1, got 1.5"},
      {"schedule: {min_lr_ratio: -0.1}\n", "bad.yaml:7: schedule.min_lr_ratio: must be at least 0, got -0.1"},
      {"optimizer: {lr: 0}\n", "bad.yaml:7: optimizer.lr: must be greater than 0, got 0"},
      {"optimizer: {eps: -1.0e-8}\n", "bad.yaml:7: optimizer.eps: must be greater than 0, got -1e-08"},
      {"optimizer: {grad_clip: -1}\n", "bad.yaml:7: optimizer.grad_clip: must be at least 0, got -1"},
      {"optimizer: {weight_decay: -0.1}\n",
       "bad.yaml:7: optimizer.weight_decay: must be at least 0, got -0.1"},
      {"optimizer: {betas: [0.9, 1.0]}\n", "bad.yaml:7: optimizer.betas: must be less than 1, got 1"},
      {"optimizer: {betas: [-0.1, 0.9]}\n", "bad.yaml:7: optimizer.betas: must be at least 0, got -0.1"},
      {"optimizer: {lr: 1.0e+39}\n",
       "bad.yaml:7: optimizer.lr: must be at most 3.4e+38 (single precision), got 1e+39"},
      {"optimizer: {eps: 1.0e-50}\n",
       "bad.yaml:7: optimizer.eps: is too close to 0 for single precision, got 1e-50"},
      {"optimizer: {betas: [0.9, 0.99999999]}\n",
       "bad.yaml:7: optimizer.betas: must be less than 1 in single precision, got 0.99999999"},
      {"schedule: {total_steps: 99999999999999999999}\n",
       "bad.yaml:7: schedule.total_steps: must be between 1 and 2147483647, got 99999999999999999999"},
      {"checkpoint: {keep: 0}\n", "bad.yaml:7: checkpoint.keep: must be at least 1, got 0"},
      {"checkpoint: {every: -5}\n", "bad.yaml:7: checkpoint.every: must be at least 0, got -5"},
      {"evaluation: {tokens: 0}\n", "bad.yaml:7: evaluation.tokens: must be at least 1, got 0"},
      {"parallel: {zero_stage: 4}\n",
       "bad.yaml:7: parallel.zero_stage: must be 0 (nothing is split over ranks), 1 (optimizer state is), 2 "
       "(gradients too) or 3 (weights too), got 4"},
  };
  for (const BadFile& file : files) EXPECT_EQ(message(smallest + file.added), file.message) << file.added;
}

TEST_F(RunConfigurationTest, RejectsImpossibleCombinations) {
  const std::vector<BadFile> files = {
      {"train:\n  global_batch: 10\n  micro_batch: 4\n",
       "bad.yaml:8: train.global_batch: must be a multiple of train.micro_batch (4), got 10"},
      {"schedule:\n  total_steps: 10\n  warmup_steps: 11\n",
       "bad.yaml:9: schedule.warmup_steps: must not exceed schedule.total_steps (10), got 11"},
      // the blamed key is a default: its section is named instead, or the first line
      {"schedule:\n  total_steps: 10\n",
       "bad.yaml:7: schedule.warmup_steps: must not exceed schedule.total_steps (10), got 100"},
      {"checkpoint:\n  every: 100\n  keep_every: 250\n",
       "bad.yaml:9: checkpoint.keep_every: must be a multiple of checkpoint.every (100), got 250"},
      {"checkpoint: {every: 0, keep_every: 100}\n",
       "bad.yaml:7: checkpoint.keep_every: needs checkpoint.every: without it only the last step is saved"},
      {"parallel:\n  collectives: nccl\ntrain: {device: cpu}\n",
       "bad.yaml:8: parallel.collectives: nccl needs train.device cuda; ranks on the cpu use mpi"},
      {"train:\n  device: cpu\n  cuda_graphs: on\n",
       "bad.yaml:9: train.cuda_graphs: on needs train.device cuda; leave it at auto"},
      {"train: {device: cpu, attention: cudnn}\n",
       "bad.yaml:7: train.attention: chooses kernels of a GPU, and train.device is cpu; leave it at auto"},
      {"run: {dir: ~/runs}\n",
       "bad.yaml:7: run.dir: '~/runs' begins with ~, which only a shell replaces; write the folder out"},
      {"run: {name: a/b}\n", "bad.yaml:7: run.name: names a directory under runs/ and cannot be 'a/b'"},
  };
  for (const BadFile& file : files) EXPECT_EQ(message(smallest + file.added), file.message) << file.added;
  EXPECT_EQ(
      message(smallest + "train: {recompute: cola_m}\n", {"model.projection=full"}),
      "bad.yaml:7: train.recompute: cola_m needs model.projection cola; a full-rank model can use block");
  EXPECT_EQ(
      message(smallest, {"data.sequence_length=2048"}),
      "--set data.sequence_length=2048: must not exceed model.max_position_embeddings (1024), got 2048");
}

TEST_F(RunConfigurationTest, RejectsImpossibleModels) {
  const std::string place = "bad.yaml:2: model.";
  const auto with = [&](const std::string& from, const std::string& to) {
    return message(replaced(smallest, from, to));
  };
  EXPECT_EQ(with("hidden_size: 64", "hidden_size: 0"), place + "hidden_size: must be at least 1, got 0");
  EXPECT_EQ(with("hidden_size: 64", "hidden_size: 60"),
            place + "hidden_size: must be a multiple of 8 (aligned rows), got 60");
  EXPECT_EQ(with("vocab_size: 258", "vocab_size: 3000000000"),
            place + "vocab_size: must be at most 2147483647, got 3000000000");
  EXPECT_EQ(with("layers: 2", "layers: 100000000"),
            "bad.yaml:3: model.num_hidden_layers: must be at most 65536, got 100000000");
  EXPECT_EQ(
      with("hidden_size: 64, intermediate_size: 172",
           "hidden_size: 2000000000, intermediate_size: 2000000000"),
      place +
          "hidden_size: these sizes give a model of 2.8e+19 parameters, more than the 1e+14 that can be "
          "counted");
  EXPECT_EQ(with("heads: 4}", "heads: 3}"),
            "bad.yaml:3: model.num_attention_heads: must divide hidden_size (64), got 3");
  EXPECT_EQ(
      with("heads: 4}", "heads: 16}"),
      "bad.yaml:3: model.num_attention_heads: hidden_size / num_attention_heads must be a multiple of 8, "
      "got 64 / 16 = 4");
  EXPECT_EQ(with("heads: 4}", "heads: 4, num_key_value_heads: 3}"),
            "bad.yaml:3: model.num_key_value_heads: must divide num_attention_heads (4), got 3");
  EXPECT_EQ(with("heads: 4}", "heads: 4, rank: 65}"),
            "bad.yaml:3: model.rank: must not exceed hidden_size (64), got 65");
  EXPECT_EQ(with("heads: 4}", "heads: 4, rank: 0}"), "bad.yaml:3: model.rank: must be at least 1, got 0");
  EXPECT_EQ(with("heads: 4}", "heads: 4, rms_norm_eps: 0}"),
            "bad.yaml:3: model.rms_norm_eps: must be greater than 0, got 0");
  EXPECT_EQ(with("heads: 4}", "heads: 4, projection: lora}"),
            "bad.yaml:3: model.projection: expected one of full, cola; got 'lora'");
  EXPECT_EQ(with("heads: 4}", "heads: 4, gate_activation: 1}"),
            "bad.yaml:3: model.gate_activation: expected true or false, got '1'");
}

TEST_F(RunConfigurationTest, RejectsMissingKeys) {
  EXPECT_EQ(message(replaced(smallest, "  train: [train.h5]\n", "")),
            "bad.yaml:4: data.train: is required and missing");
  EXPECT_EQ(message(replaced(smallest, "  validation: [validation.h5]\n", "")),
            "bad.yaml:4: data.validation: is required and missing");
  EXPECT_EQ(message(replaced(smallest, "intermediate_size: 172,", "")),
            "bad.yaml:1: model.intermediate_size: is required and missing");
  EXPECT_EQ(message("run: {name: a}\n"), "bad.yaml:1: model.vocab_size: is required and missing");
  EXPECT_EQ(message(replaced(smallest, "[train.h5]", "[]")),
            "bad.yaml:5: data.train: must name at least one file");
  EXPECT_EQ(message(replaced(smallest, "[train.h5]", "train.h5")),
            "bad.yaml:5: data.train: expected a list such as [a.h5, b.h5], got 'train.h5'");
  EXPECT_EQ(message(replaced(smallest, "[train.h5]", "[a.h5, ]\n  sequence_length: [b]")),
            "bad.yaml:6: data.sequence_length: expected a whole number, got a list");
}

TEST_F(RunConfigurationTest, RejectsFilesThatAreNoConfiguration) {
  EXPECT_EQ(message(""), "bad.yaml:1: expected a mapping of sections, got nothing");
  EXPECT_EQ(message("- run\n- model\n"), "bad.yaml:1: expected a mapping of sections, got a list");
  EXPECT_EQ(message(smallest + "---\n" + smallest),
            "bad.yaml:7: only one YAML document can be read, and another begins here");
  EXPECT_THROW(load_run_configuration((directory_ / "absent.yaml").string(), {}), UsageError);
  EXPECT_THROW(load_run_configuration(directory_.string(), {}), UsageError);
}

TEST_F(RunConfigurationTest, OverridesWinOverTheFile) {
  const std::string yaml = smallest + "train: {global_batch: many, micro_batch: 8}\n";
  const RunConfiguration c =
      load(yaml, {"train.global_batch=16", "data.train=[a.h5,b.h5]", "optimizer.lr=0.5",
                  "optimizer.betas=[0.5, 0.25]", "run.name=first", "run.name=second"});
  EXPECT_EQ(c.train.global_batch, 16);
  EXPECT_EQ(c.train.micro_batch, 8);
  EXPECT_EQ(c.data.train, (std::vector<std::string>{"a.h5", "b.h5"}));
  EXPECT_EQ(c.optimizer.lr, 0.5);
  EXPECT_EQ(c.optimizer.beta1, 0.5);
  EXPECT_EQ(c.optimizer.beta2, 0.25);
  EXPECT_EQ(c.run.name, "second");
  EXPECT_EQ(c.run.dir, "runs/second");
}

TEST_F(RunConfigurationTest, BadOverridesAreNamed) {
  const auto set = [&](const std::string& assignment) { return message(smallest, {assignment}); };
  EXPECT_EQ(set("train.global_batch=many"),
            "--set train.global_batch=many: expected a whole number, got 'many'");
  EXPECT_EQ(set("train.globl_batch=3"),
            "--set train.globl_batch=3: unknown key; the nearest known key is 'train.global_batch'");
  EXPECT_EQ(set("trian.global_batch=3"),
            "--set trian.global_batch=3: unknown section; the nearest known section is 'train'");
  EXPECT_EQ(set("model.rank=0"), "--set model.rank=0: must be at least 1, got 0");
  EXPECT_EQ(set("train.device=gpu"), "--set train.device=gpu: expected one of auto, cpu, cuda; got 'gpu'");
  EXPECT_EQ(set("global_batch=3"), "--set global_batch=3: expected section.key=value");
  EXPECT_EQ(set("train.global_batch"), "--set train.global_batch: expected section.key=value");
  EXPECT_EQ(set("run.name="), "--set run.name=: expected text, got nothing");
}

TEST_F(RunConfigurationTest, PrintingRoundTrips) {
  RunConfiguration c =
      load(smallest, {"optimizer.lr=0.1234567890123456789", "optimizer.eps=1.0e-12", "run.name='it''s: #1'",
                      "data.train=['*.h5', \"a, b\"]", "schedule.min_lr_ratio=1"});
  EXPECT_EQ(parse_run_configuration(to_yaml(c), "printed"), c);
  EXPECT_EQ(to_yaml(parse_run_configuration(to_yaml(c), "printed")), to_yaml(c));
  EXPECT_EQ(c.run.dir, "runs/it's: #1");
  c.run.dir.clear();  // as in a configuration made in code
  EXPECT_EQ(parse_run_configuration(to_yaml(c), "printed").run.dir, "runs/it's: #1");
}

TEST_F(RunConfigurationTest, PrintsInTheOrderOfTheFile) {
  const std::string yaml = to_yaml(load(smallest));
  EXPECT_EQ(yaml.substr(0, yaml.find("data:")),
            "run:\n  name: cola\n  dir: runs/cola\n  seed: 42\n  time_limit: 0\n  stop_margin: 30\n"
            "model:\n  vocab_size: 258\n  hidden_size: 64\n  intermediate_size: 172\n  num_hidden_layers: 2\n"
            "  num_attention_heads: 4\n  num_key_value_heads: 4\n  max_position_embeddings: 1024\n"
            "  rms_norm_eps: 1.0e-06\n  rope_theta: 10000\n  projection: cola\n  rank: 16\n  "
            "gate_activation: false\n");
  EXPECT_EQ(
      yaml.substr(yaml.find("data:"), yaml.find("schedule:") - yaml.find("data:")),
      "data:\n  train: [train.h5]\n  weights: []\n  validation: [validation.h5]\n  sequence_length: 256\n"
      "  allow_change: false\n"
      "optimizer:\n  lr: 0.001\n  betas: [0.9, 0.999]\n  eps: 1.0e-08\n  weight_decay: 0.01\n  "
      "grad_clip: 0.5\n");
}

TEST_F(RunConfigurationTest, TextOfACheckpointNamesItsOrigin) {
  try {
    parse_run_configuration("run: {nam: a}\n", "checkpoints/step-00000010/manifest.json");
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_STREQ(error.what(),
                 "checkpoints/step-00000010/manifest.json:1: run.nam: unknown key; the nearest known key is "
                 "'run.name'");
  }
}

// Sizes and recipes of arXiv 2502.10940; parameters in millions, as published.
struct Shipped {
  const char* size;
  double cola_millions, full_millions, digits;
  std::int64_t total_steps, warmup_steps;
  double lr;
};

TEST(ShippedConfigurations, HaveThePublishedSizesAndRecipes) {
  const std::vector<Shipped> all = {{"60m", 42.8, 58.1, 0.1, 10000, 2000, 6e-3},
                                    {"130m", 94.0, 134.1, 0.1, 20000, 2000, 3e-3},
                                    {"350m", 185, 368, 1, 60000, 6000, 3e-3},
                                    {"1b", 609, 1339, 1, 100000, 10000, 2e-3},
                                    {"7b", 2821, 6738, 1, 150000, 15000, 1e-3}};
  const auto millions = [](const RunConfiguration& c, double digits) {
    return std::round(static_cast<double>(ParameterTable(c.model).logical_elements()) / 1e6 / digits) *
           digits;
  };
  for (const Shipped& expected : all) {
    SCOPED_TRACE(expected.size);
    const RunConfiguration c = load_run_configuration(shipped(expected.size), {});
    EXPECT_EQ(c.run.name, std::string("cola-") + expected.size);
    EXPECT_EQ(c.model.projection, ProjectionKind::cola);
    EXPECT_EQ(c.model.gate_activation, c.model.hidden_size < 1024);
    EXPECT_EQ(c.model.vocab_size, 32000);
    EXPECT_EQ(c.data.sequence_length * c.train.global_batch, 131072);
    EXPECT_EQ(c.schedule.total_steps, expected.total_steps);
    EXPECT_EQ(c.schedule.warmup_steps, expected.warmup_steps);
    EXPECT_EQ(c.optimizer.lr, expected.lr);
    EXPECT_NEAR(millions(c, expected.digits), expected.cola_millions, 1e-9);
    const RunConfiguration full =
        load_run_configuration(shipped(expected.size), {"model.projection=full", "train.recompute=block"});
    EXPECT_NEAR(millions(full, expected.digits), expected.full_millions, 1e-9);
  }
}

TEST(ShippedConfigurations, TinyFitsItsDescription) {
  const RunConfiguration c = load_run_configuration(shipped("tiny"), {});
  EXPECT_EQ(ParameterTable(c.model).logical_elements(), 1513728);
  EXPECT_EQ(c.data.train, std::vector<std::string>{"data/tiny/train-*.h5"});
  const RunConfiguration full = load_run_configuration(shipped("tiny"), {"model.projection=full"});
  EXPECT_EQ(ParameterTable(full.model).logical_elements(), 3426560);
}

TEST(ShippedConfigurations, RoundTripThroughPrinting) {
  for (const char* size : {"tiny", "60m", "130m", "350m", "1b", "7b"}) {
    const RunConfiguration c = load_run_configuration(shipped(size), {});
    EXPECT_EQ(parse_run_configuration(to_yaml(c), "printed"), c) << size;
  }
}

}  // namespace
}  // namespace cola
