// The one list of configuration keys. Reading, printing and the suggestion of known keys all walk it, so a
// new key is one line in visit_fields and a member in run_configuration.h.
#pragma once

#include <array>
#include <limits>
#include <string_view>
#include <tuple>
#include <utility>

#include "train/configuration/run_configuration.h"

namespace cola {

/// What numbers a key takes.
struct Limits {
  double low = -std::numeric_limits<double>::infinity(), high = std::numeric_limits<double>::infinity();
  bool above_low = false, below_high = false;  // the end itself is left out
  bool is_float = false;                       // computed with in single precision: judged as it is there
};
inline constexpr Limits any_number{}, count{.low = 1, .high = 2147483647},
    sequence_count{.low = 1, .high = 65535},  // what a GPU's grid takes
    count_or_zero{.low = 0, .high = 2147483647}, token_count{.low = 1, .high = 1e15}, not_negative{.low = 0},
    relative_weight{.low = 0, .high = 1e18, .above_low = true},  // as much as numbers of tokens want
    fraction{.low = 0, .high = 1}, positive_float{.low = 0, .above_low = true, .is_float = true},
    not_negative_float{.low = 0, .is_float = true},
    decay_rate{.low = 0, .high = 1, .below_high = true, .is_float = true};

struct Field {
  std::string_view section, key;
  Limits limits = any_number;
  bool required = false;
};
inline constexpr bool required = true;

/// The words of an enumeration, as they stand in the file.
template <typename Enumeration>
inline constexpr std::array<std::pair<std::string_view, Enumeration>, 0> words{};
template <>
inline constexpr std::array words<ProjectionKind>{std::pair{std::string_view("full"), ProjectionKind::full},
                                                  std::pair{std::string_view("cola"), ProjectionKind::cola}};
template <>
inline constexpr std::array words<Decay>{std::pair{std::string_view("cosine"), Decay::cosine},
                                         std::pair{std::string_view("linear"), Decay::linear},
                                         std::pair{std::string_view("constant"), Decay::constant}};
template <>
inline constexpr std::array words<Precision>{std::pair{std::string_view("auto"), Precision::automatic},
                                             std::pair{std::string_view("fp32"), Precision::fp32},
                                             std::pair{std::string_view("bf16"), Precision::bf16}};
template <>
inline constexpr std::array words<Recompute>{std::pair{std::string_view("none"), Recompute::none},
                                             std::pair{std::string_view("cola_m"), Recompute::cola_m},
                                             std::pair{std::string_view("block"), Recompute::block}};
template <>
inline constexpr std::array words<DeviceChoice>{std::pair{std::string_view("auto"), DeviceChoice::automatic},
                                                std::pair{std::string_view("cpu"), DeviceChoice::cpu},
                                                std::pair{std::string_view("cuda"), DeviceChoice::cuda}};
template <>
inline constexpr std::array words<AttentionChoice>{
    std::pair{std::string_view("auto"), AttentionChoice::automatic},
    std::pair{std::string_view("cudnn"), AttentionChoice::cudnn},
    std::pair{std::string_view("flash"), AttentionChoice::flash},
    std::pair{std::string_view("whole_heads"), AttentionChoice::whole_heads}};
template <>
inline constexpr std::array words<RecordedPasses>{
    std::pair{std::string_view("auto"), RecordedPasses::automatic},
    std::pair{std::string_view("on"), RecordedPasses::on},
    std::pair{std::string_view("off"), RecordedPasses::off}};
template <>
inline constexpr std::array words<Collectives>{std::pair{std::string_view("auto"), Collectives::automatic},
                                               std::pair{std::string_view("nccl"), Collectives::nccl},
                                               std::pair{std::string_view("mpi"), Collectives::mpi}};

/// The word that stands for `value` in the file.
template <typename Enumeration>
constexpr std::string_view word_of(Enumeration value) {
  for (const auto& [word, meaning] : words<Enumeration>)
    if (meaning == value) return word;
  return {};
}

/// Calls visit(Field, value) for every key, in the order of the file; `c` is a RunConfiguration, const or
/// not.
template <typename Configuration, typename Visitor>
void visit_fields(Configuration& c, const Visitor& visit) {
  visit(Field{"run", "name"}, c.run.name);
  visit(Field{"run", "dir"}, c.run.dir);
  visit(Field{"run", "seed"}, c.run.seed);
  visit(Field{"run", "time_limit", count_or_zero}, c.run.time_limit);
  visit(Field{"run", "stop_margin", count_or_zero}, c.run.stop_margin);

  visit(Field{"model", "vocab_size", count, required}, c.model.vocab_size);
  visit(Field{"model", "hidden_size", count, required}, c.model.hidden_size);
  visit(Field{"model", "intermediate_size", count, required}, c.model.intermediate_size);
  visit(Field{"model", "num_hidden_layers", count, required}, c.model.num_hidden_layers);
  visit(Field{"model", "num_attention_heads", count, required}, c.model.num_attention_heads);
  visit(Field{"model", "num_key_value_heads", count}, c.model.num_key_value_heads);
  visit(Field{"model", "max_position_embeddings", count}, c.model.max_position_embeddings);
  visit(Field{"model", "rms_norm_eps", positive_float}, c.model.rms_norm_eps);
  visit(Field{"model", "rope_theta", positive_float}, c.model.rope_theta);
  visit(Field{"model", "projection"}, c.model.projection);
  visit(Field{"model", "rank", count}, c.model.rank);
  visit(Field{"model", "gate_activation"}, c.model.gate_activation);

  visit(Field{"data", "train", any_number, required}, c.data.train);
  visit(Field{"data", "weights", relative_weight}, c.data.weights);
  visit(Field{"data", "validation", any_number, required}, c.data.validation);
  visit(Field{"data", "sequence_length", count}, c.data.sequence_length);
  visit(Field{"data", "allow_change"}, c.data.allow_change);

  visit(Field{"optimizer", "lr", positive_float}, c.optimizer.lr);
  visit(Field{"optimizer", "betas", decay_rate}, std::tie(c.optimizer.beta1, c.optimizer.beta2));
  visit(Field{"optimizer", "eps", positive_float}, c.optimizer.eps);
  visit(Field{"optimizer", "weight_decay", not_negative_float}, c.optimizer.weight_decay);
  visit(Field{"optimizer", "grad_clip", not_negative_float}, c.optimizer.grad_clip);

  visit(Field{"schedule", "total_steps", count}, c.schedule.total_steps);
  visit(Field{"schedule", "warmup_steps", count_or_zero}, c.schedule.warmup_steps);
  visit(Field{"schedule", "min_lr_ratio", fraction}, c.schedule.min_lr_ratio);
  visit(Field{"schedule", "decay"}, c.schedule.decay);
  visit(Field{"schedule", "decay_steps", count_or_zero}, c.schedule.decay_steps);

  visit(Field{"train", "global_batch", count}, c.train.global_batch);
  visit(Field{"train", "micro_batch", sequence_count}, c.train.micro_batch);
  visit(Field{"train", "precision"}, c.train.precision);
  visit(Field{"train", "recompute"}, c.train.recompute);
  visit(Field{"train", "device"}, c.train.device);
  visit(Field{"train", "attention"}, c.train.attention);
  visit(Field{"train", "cuda_graphs"}, c.train.cuda_graphs);
  visit(Field{"train", "threads", count_or_zero}, c.train.threads);
  visit(Field{"train", "device_memory_gib", not_negative}, c.train.device_memory_gib);

  visit(Field{"parallel", "zero_stage"}, c.parallel.zero_stage);
  visit(Field{"parallel", "collectives"}, c.parallel.collectives);
  visit(Field{"parallel", "bind_network"}, c.parallel.bind_network);
  visit(Field{"parallel", "timeout_seconds", count_or_zero}, c.parallel.timeout_seconds);

  visit(Field{"checkpoint", "every", count_or_zero}, c.checkpoint.every);
  visit(Field{"checkpoint", "keep", count}, c.checkpoint.keep);
  visit(Field{"checkpoint", "keep_every", count_or_zero}, c.checkpoint.keep_every);
  visit(Field{"checkpoint", "async"}, c.checkpoint.async);
  visit(Field{"checkpoint", "ring_gib", not_negative}, c.checkpoint.ring_gib);
  visit(Field{"checkpoint", "bandwidth_mib", not_negative}, c.checkpoint.bandwidth_mib);
  visit(Field{"checkpoint", "verify"}, c.checkpoint.verify);
  visit(Field{"checkpoint", "local_dir"}, c.checkpoint.local_dir);
  visit(Field{"checkpoint", "max_failures", count}, c.checkpoint.max_failures);

  visit(Field{"evaluation", "every", count_or_zero}, c.evaluation.every);
  visit(Field{"evaluation", "tokens", token_count}, c.evaluation.tokens);
}

}  // namespace cola
