// cola_generate: text from a checkpoint, to see what a model has learnt.
#include <fmt/core.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <cmath>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "apps/common/command_line.h"
#include "apps/common/exit_code.h"
#include "apps/common/run_program.h"
#include "apps/common/tokenizer_choice.h"
#include "core/device.h"
#include "core/divide_up.h"
#include "core/error.h"
#include "core/kernels/cross_entropy.h"
#include "core/philox.h"
#include "io/checkpoints/checkpoint_directory.h"
#include "io/checkpoints/checkpoint_reader.h"
#include "io/tokens/tokenizer.h"
#include "model/transformer.h"
#include "train/checkpoints/loaded_weights.h"
#include "train/configuration/precision.h"
#include "train/configuration/run_configuration.h"
#include "train/configuration/run_configuration_fields.h"

namespace {

namespace options = boost::program_options;
using namespace cola;

struct CommandLine {
  std::string checkpoint, prompt, precision = "auto";
  TokenizerChoice tokenizer;
  bool no_verify = false;
  CommonOptions common;
  std::int64_t tokens = 64;
  double temperature = 0.8;
  std::int64_t top_k = 40;
  std::int64_t seed = 0;
};

constexpr const char* introduction =
    "cola_generate continues a prompt with a trained model.\n"
    "\n"
    "  cola_generate --checkpoint runs/cola-tiny --tokenizer data/tiny/tokenizer.model --prompt \"The sea "
    "is\"\n"
    "\n"
    "Exit codes: 0 done; 2 bad command line, or no committed checkpoint in DIR; anything else failed.\n"
    "\n"
    "Options";

options::options_description describe(CommandLine& line) {
  options::options_description description(introduction, 110);
  auto add = description.add_options();
  add("checkpoint", options::value(&line.checkpoint)->value_name("DIR"),
      "a run's directory or a checkpoint's folder");
  add("prompt", options::value(&line.prompt)->value_name("TEXT"), "the text to continue");
  add_tokenizer_options(description, line.tokenizer);
  add("tokens", options::value(&line.tokens)->default_value(line.tokens)->value_name("N"),
      "how many tokens to add at most");
  add("temperature",
      options::value(&line.temperature)->default_value(line.temperature, "0.8")->value_name("T"),
      "0 always takes the likeliest token; higher is more varied");
  add("top-k", options::value(&line.top_k)->default_value(line.top_k)->value_name("K"),
      "choose among the K likeliest tokens; 0: all");
  add("seed", options::value(&line.seed)->default_value(line.seed)->value_name("N"),
      "another seed, another text");
  add("precision",
      options::value(&line.precision)->default_value(line.precision)->value_name("auto|fp32|bf16"),
      "what to compute in; auto: bf16 where it is faster");
  add("no-verify", options::bool_switch(&line.no_verify),
      "takes the checkpoint's files as they are, without a look at their checksums");
  add_common_options(description, line.common);
  return description;
}

Precision precision_of(const CommandLine& line) {
  for (const auto& [word, precision] : words<Precision>)
    if (word == line.precision) return precision;
  throw UsageError("--precision {}: is one of auto, fp32 and bf16", line.precision);
}

void check(const CommandLine& line) {
  if (line.checkpoint.empty() || line.prompt.empty())
    throw UsageError("--checkpoint DIR and --prompt TEXT are needed (see cola_generate --help)");
  line.tokenizer.require();
  precision_of(line);
  if (line.tokens < 1 || !(line.temperature >= 0) || line.top_k < 0 || line.seed < 0)
    throw UsageError("--tokens is at least 1; --temperature, --top-k and --seed are not negative");
}

// The next id: the likeliest, or drawn from the softmax of the top_k logits over the temperature.
std::int32_t choose(std::span<const float> logits, const CommandLine& line, std::uint64_t position) {
  std::vector<std::int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto candidates = line.temperature == 0 ? 1
                          : line.top_k == 0
                              ? logits.size()
                              : std::min<std::size_t>(logits.size(), static_cast<std::size_t>(line.top_k));
  const auto likelier = [&](std::int32_t a, std::int32_t b) {
    return logits[static_cast<std::size_t>(a)] > logits[static_cast<std::size_t>(b)];
  };
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(candidates), order.end(),
                    likelier);
  if (candidates == 1) return order.front();
  const double largest = logits[static_cast<std::size_t>(order.front())];
  std::vector<double> sums;
  for (std::size_t i = 0; i < candidates; ++i) {
    const double weight = std::exp((logits[static_cast<std::size_t>(order[i])] - largest) / line.temperature);
    sums.push_back((sums.empty() ? 0 : sums.back()) + weight);
  }
  const PhiloxBlock words = philox(philox_key(static_cast<std::uint64_t>(line.seed), "generation"), position);
  const double drawn = philox_uniform(words[0], words[1]) * sums.back();
  return order[static_cast<std::size_t>(std::lower_bound(sums.begin(), sums.end(), drawn) - sums.begin())];
}

// cuDNN would take seconds to plan for every length.
std::unique_ptr<Device> make_device() {
  return cuda_device_count() > 0 ? make_cuda_device(0, {.attention = AttentionChoice::flash})
                                 : make_cpu_device();
}

constexpr std::int64_t length_step = 64;  // of passes

// How many positions passes have: those of the text, but none beyond the training length, which were never
// seen. That may be far more than a text needs.
std::int64_t window_for(std::size_t prompt_tokens, std::int64_t tokens, std::int64_t sequence_length) {
  const auto prompt = static_cast<std::int64_t>(prompt_tokens);
  if (tokens >= sequence_length || prompt >= sequence_length - tokens) return sequence_length;
  return std::min(divide_up(prompt + tokens, length_step) * length_step, sequence_length);
}

// The logits of the last of `ids`, given the `window` ids up to it. Passes come in few lengths, since a
// device plans its products anew for each: what follows the last id has no effect on it.
std::vector<float> logits_of_last(Transformer& model, ParameterStore& weights,
                                  std::span<const std::int32_t> ids, std::int64_t window) {
  const std::int64_t length = std::min(static_cast<std::int64_t>(ids.size()), window);
  const std::int64_t padded = std::min(divide_up(length, length_step) * length_step, window);
  const auto context = ids.last(static_cast<std::size_t>(length));
  std::vector<std::int32_t> inputs(context.begin(), context.end());
  inputs.resize(static_cast<std::size_t>(padded), 0);
  const std::vector<std::int32_t> targets(inputs.size(), ignored_target);
  return model.logits(weights, {inputs, targets, 1, padded}, length - 1, length);
}

std::vector<std::int32_t> encode_prompt(const Tokenizer& tokenizer, const std::string& prompt,
                                        std::int64_t vocab_size) {
  std::vector<std::int32_t> ids = tokenizer.encode(prompt);
  if (ids.empty()) throw UsageError("--prompt: the tokenizer makes no token of it");
  if (*std::max_element(ids.begin(), ids.end()) >= vocab_size)
    throw UsageError("the tokenizer's ids do not fit the model's vocabulary of {}", vocab_size);
  return ids;
}

// Adds to `ids` until a text ends. Models may have more ids than the tokenizer, rounded up, say; those mean
// nothing and are never chosen.
void add_tokens(std::vector<std::int32_t>& ids, const CommandLine& line, const Tokenizer& tokenizer,
                Transformer& model, ParameterStore& weights, std::int64_t window) {
  for (std::int64_t added = 0; added < line.tokens; ++added) {
    const std::vector<float> logits = logits_of_last(model, weights, ids, window);
    const auto known = std::min(logits.size(), static_cast<std::size_t>(tokenizer.vocab_size()));
    const std::int32_t next = choose(std::span(logits).first(known), line, ids.size());
    if (next == static_cast<std::int32_t>(tokenizer.eos_id())) return;
    ids.push_back(next);
  }
}

int generate(const CommandLine& line) {
  CheckpointReader checkpoint(resolve_checkpoint(line.checkpoint),
                              line.no_verify ? ShardCheck::size : ShardCheck::checksum);
  const RunConfiguration configuration =
      parse_run_configuration(checkpoint.manifest().configuration, checkpoint.folder() + "/manifest.json");
  const ParameterTable table(configuration.model);
  require_same_parameters(checkpoint.manifest(), table, checkpoint.folder());
  const std::unique_ptr<Tokenizer> tokenizer = make_tokenizer(line.tokenizer, checkpoint.manifest());
  std::vector<std::int32_t> ids = encode_prompt(*tokenizer, line.prompt, configuration.model.vocab_size);
  const std::size_t prompt_tokens = ids.size();

  const std::unique_ptr<Device> device = make_device();
  const DataType type = compute_type_of(precision_of(line), *device);
  LoadedWeights weights(*device, checkpoint, table, type);
  const std::int64_t window = window_for(ids.size(), line.tokens, configuration.data.sequence_length);
  // A forward pass alone keeps one block's activations.
  Transformer model(*device, table, {1, window, type, Recompute::block});
  add_tokens(ids, line, *tokenizer, model, weights, window);
  fmt::print("{}\n", tokenizer->decode(ids));
  fmt::print(stderr, "{} tokens after a prompt of {}, from {}\n", ids.size() - prompt_tokens, prompt_tokens,
             checkpoint.folder());
  return exit_finished;
}

int run(int count, char** arguments) {
  CommandLine line;
  const options::options_description description = describe(line);
  parse_command_line("cola_generate", count, arguments, description);
  if (answer_common_options(line.common, "cola_generate", description)) return exit_finished;
  check(line);
  return generate(line);
}

}  // namespace

int main(int count, char** arguments) {
  return run_program("cola_generate", [&] { return unless_output_failed(run(count, arguments)); });
}
