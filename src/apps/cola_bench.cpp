// cola_bench: speed and memory, as ratios to what the same machine can do in the same run.
#include <boost/program_options.hpp>
#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "apps/bench/checkpoint.h"
#include "apps/bench/kernels.h"
#include "apps/bench/memory.h"
#include "apps/bench/startup.h"
#include "apps/bench/training.h"
#include "apps/common/command_line.h"
#include "apps/common/communicator_choice.h"
#include "apps/common/device_choice.h"
#include "apps/common/run_program.h"
#include "apps/common/together.h"

namespace {

namespace options = boost::program_options;
using namespace cola;

struct CommandLine {
  std::string command, configuration;
  std::vector<std::string> settings;
  std::int64_t steps = 20, micro_batches = 1;
  int rounds = 5;
  bool compare = false;
  CommonOptions common;
};

constexpr const char* introduction =
    "cola_bench measures training on random tokens, how long a run takes to start, and what checkpoints "
    "cost.\n"
    "\n"
    "  cola_bench train --config configs/60m.yaml --set train.micro_batch=8 --compare\n"
    "  mpirun -n 2 cola_bench train --config configs/60m.yaml\n"
    "  cola_bench kernels --config configs/1b.yaml --set train.micro_batch=64\n"
    "  cola_bench memory --help: full-rank models, CoLA and CoLA-M side by side\n"
    "  mpirun -n 64 cola_bench startup --config configs/tiny.yaml\n"
    "  cola_bench checkpoint --config configs/60m.yaml --set train.micro_batch=4 --set train.threads=1\n"
    "\n"
    "train: medians of whole optimizer steps, the share of the plain matrix product's rate that they reach,\n"
    "  and the memory that was planned and used.\n"
    "kernels: where the time of one step goes, kernel by kernel, next to what the device can do; on a GPU\n"
    "  also what joined products save, and every way to compute attention (train.attention), on this\n"
    "  configuration's shape.\n"
    "startup: how long a run takes before its first step, phase by phase.\n"
    "checkpoint: what saving costs training, and its rates next to plain writes and reads.\n"
    "\n"
    "Exit codes: 0 done; 2 bad command line or configuration; anything else failed.\n\nOptions";

options::options_description describe(CommandLine& line) {
  options::options_description description(introduction, 110);
  auto add = description.add_options();
  add("config", options::value(&line.configuration)->value_name("FILE"), "the run's YAML configuration");
  add("set", options::value(&line.settings)->value_name("SECTION.KEY=VALUE")->composing(),
      "overrides one setting");
  add("steps", options::value(&line.steps)->default_value(line.steps)->value_name("N"), "train: timed steps");
  add("micro-batches",
      options::value(&line.micro_batches)->default_value(line.micro_batches)->value_name("N"),
      "train, checkpoint: micro-batches a rank and step");
  add("rounds", options::value(&line.rounds)->default_value(line.rounds)->value_name("N"),
      "checkpoint: repetitions");
  add("compare", options::bool_switch(&line.compare),
      "train: also measures the full-rank twin, and prints the ratio");
  add_common_options(description, line.common);
  return description;
}

// The commands, and what each heeds beside --config and --set.
const std::map<std::string, std::set<std::string>>& heeded_options() {
  static const std::map<std::string, std::set<std::string>> heeded{
      {"train", {"steps", "micro-batches", "compare"}},
      {"kernels", {}},
      {"startup", {}},
      {"checkpoint", {"micro-batches", "rounds"}}};
  return heeded;
}

void check(const CommandLine& line, const options::variables_map& given) {
  const auto command = heeded_options().find(line.command);
  if (command == heeded_options().end())
    throw UsageError(
        "usage: cola_bench train|kernels|memory|startup|checkpoint --config FILE (see cola_bench --help)");
  for (const char* option : {"steps", "micro-batches", "rounds", "compare"})
    if (!given[option].defaulted() && !command->second.contains(option))
      throw UsageError("--{} has no effect on cola_bench {} (see cola_bench --help)", option, line.command);
  if (line.configuration.empty()) throw UsageError("--config FILE is missing (see cola_bench --help)");
  if (line.steps < 1 || line.micro_batches < 1 || line.rounds < 1)
    throw UsageError("--steps, --micro-batches and --rounds are at least 1");
}

RunConfiguration load(const CommandLine& line, Communicator& world,
                      const std::vector<std::string>& settings) {
  return together(world, [&] { return load_run_configuration(line.configuration, settings); });
}

// What to compare with, if that is asked for.
std::optional<RunConfiguration> full_rank_twin(const CommandLine& line, Communicator& world,
                                               const RunConfiguration& configuration) {
  if (!line.compare) return std::nullopt;
  if (configuration.model.projection == ProjectionKind::full)
    throw UsageError("--compare: model.projection is full already");
  std::vector<std::string> settings = line.settings;
  settings.push_back("model.projection=full");
  if (configuration.train.recompute == Recompute::cola_m) settings.push_back("train.recompute=block");
  return load(line, world, settings);
}

void print_kernels(const RunConfiguration& configuration, Device& device, const RankPlace& place) {
  print_step_breakdown(configuration, device);
  print_fused_products(configuration, device);
  if (place.gpu_number >= 0) print_attention_choices(configuration, place.gpu_number);
}

int bench(const CommandLine& line, MpiSession& session) {
  Communicator& world = session.world();
  const RunConfiguration configuration = load(line, world, line.settings);
  const std::optional<RunConfiguration> twin = full_rank_twin(line, world, configuration);
  RankPlace place = place_rank(configuration, session);
  const auto device = together(world, [&] { return make_device(configuration, place); });
  if (line.command == "kernels") {
    if (world.rank() == 0) print_kernels(configuration, *device, place);
    return exit_finished;
  }
  const auto communicator = make_training_communicator(configuration.parallel, *device, session);
  information("{}, {} {}, {}, micro-batch {} x {}", configuration.run.name, world.size(),
              world.size() == 1 ? "rank" : "ranks", device->name(), configuration.train.micro_batch,
              configuration.data.sequence_length);
  if (line.command == "checkpoint")
    bench_checkpoint(configuration, *device, *communicator, line.rounds, line.micro_batches);
  else
    bench_training(configuration, twin, *device, *communicator, line.steps, line.micro_batches);
  return exit_finished;
}

int run(int count, char** arguments, MpiSession& session, std::chrono::steady_clock::time_point begun) {
  if (count > 1 && arguments[1] == std::string("memory")) return bench_memory(count, arguments, session);
  CommandLine line;
  const options::options_description description = describe(line);
  const auto given = parse_command_line("cola_bench", count, arguments, description, line.command);
  if (answer_common_options(line.common, "cola_bench", description, session.world().rank() == 0))
    return exit_finished;
  check(line, given);
  if (line.command != "startup") return bench(line, session);
  bench_startup(line.configuration, line.settings, session, begun);
  return exit_finished;
}

}  // namespace

int main(int count, char** arguments) {
  const auto begun = std::chrono::steady_clock::now();
  return run_program("cola_bench", [&] {
    const EarlyChoices place = early_settings(count, arguments).value_or(EarlySettings()).place;
    return run_on_ranks(count, arguments, place,
                        [&](MpiSession& session) { return run(count, arguments, session, begun); });
  });
}
