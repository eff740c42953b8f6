// cola_bench: speed and memory, as ratios to what the same machine can do in the same run.
#include <boost/program_options.hpp>
#include <chrono>
#include <string>
#include <vector>

#include "apps/bench_checkpoint.h"
#include "apps/bench_kernels.h"
#include "apps/bench_memory.h"
#include "apps/bench_startup.h"
#include "apps/communicator_choice.h"
#include "apps/device_choice.h"
#include "apps/program.h"
#include "train/benchmarks/training_benchmark.h"
#include "train/progress.h"

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
    "  also every way to compute attention (train.attention), on this configuration's shape.\n"
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
  add("steps", options::value(&line.steps)->default_value(line.steps)->value_name("N"), "timed steps");
  add("micro-batches",
      options::value(&line.micro_batches)->default_value(line.micro_batches)->value_name("N"),
      "micro-batches a rank and step");
  add("rounds", options::value(&line.rounds)->default_value(line.rounds)->value_name("N"),
      "checkpoint: repetitions");
  add("compare", options::bool_switch(&line.compare),
      "also measures the full-rank twin, and prints the ratio");
  add_common_options(description, line.common);
  return description;
}

void check(const CommandLine& line) {
  if (line.command != "train" && line.command != "kernels" && line.command != "startup" &&
      line.command != "checkpoint")
    throw UsageError(
        "usage: cola_bench train|kernels|memory|startup|checkpoint --config FILE (see cola_bench --help)");
  if (line.configuration.empty()) throw UsageError("--config FILE is missing (see cola_bench --help)");
  if (line.steps < 1 || line.micro_batches < 1 || line.rounds < 1)
    throw UsageError("--steps, --micro-batches and --rounds are at least 1");
}

void print_row(const std::string& name, const TrainingBenchmark& result) {
  const auto megabytes = [](std::size_t bytes) { return format_bytes(static_cast<double>(bytes)); };
  information("{:<10} {:>10} {:>12.3f} {:>14.0f} {:>12} {:>12} {:>9.1f} % {:>11} {:>11} {:>11}", name,
              result.tokens_per_step, result.step_seconds, result.tokens_per_second,
              format_count(result.operations_per_second), format_count(result.product_rate),
              100 * result.utilization(), megabytes(result.planned_bytes), megabytes(result.device_bytes),
              megabytes(result.resident_bytes));
}

int bench(const CommandLine& line, MpiSession& session) {
  Communicator& world = session.world();
  const auto load = [&](std::vector<std::string> settings) {
    return together(world, [&] { return load_run_configuration(line.configuration, settings); });
  };
  const RunConfiguration configuration = load(line.settings);
  RankPlace place = place_rank(configuration, session);
  const auto device = together(world, [&] { return make_device(configuration, place); });
  if (line.command == "kernels") {
    if (world.rank() == 0) {
      print_step_breakdown(configuration, *device);
      if (place.gpu_number >= 0) print_attention_choices(configuration, place.gpu_number);
    }
    return exit_finished;
  }
  const auto communicator = make_training_communicator(configuration.parallel, *device, session);
  information("{}, {} {}, {}, micro-batch {} x {}", configuration.run.name, world.size(),
              world.size() == 1 ? "rank" : "ranks", device->name(), configuration.train.micro_batch,
              configuration.data.sequence_length);
  if (line.command == "checkpoint") {
    bench_checkpoint(configuration, *device, *communicator, line.rounds, line.micro_batches);
    return exit_finished;
  }
  information("{:<10} {:>10} {:>12} {:>14} {:>12} {:>12} {:>11} {:>11} {:>11} {:>11}", "model", "tokens",
              "seconds a", "tokens/s", "FLOP/s", "product's", "share of", "memory", "memory", "resident");
  information("{:<10} {:>10} {:>12} {:>14} {:>12} {:>12} {:>11} {:>11} {:>11} {:>11}", "", "a step", "step",
              "", "useful", "FLOP/s", "product", "planned", "used", "growth");
  const auto measure = [&](const RunConfiguration& measured, const std::string& name) {
    const TrainingBenchmark result =
        benchmark_training(measured, *device, *communicator, line.steps, line.micro_batches);
    print_row(name, result);
    return result;
  };
  const bool cola = configuration.model.projection == ProjectionKind::cola;
  const TrainingBenchmark result = measure(configuration, cola ? "CoLA" : "full-rank");
  if (line.compare && cola) {
    std::vector<std::string> settings = line.settings;
    settings.push_back("model.projection=full");
    if (configuration.train.recompute == Recompute::cola_m) settings.push_back("train.recompute=block");
    const TrainingBenchmark full = measure(load(settings), "full-rank");
    information("CoLA trains {:.2f} times the tokens a second of full-rank",
                result.tokens_per_second / full.tokens_per_second);
  }
  return exit_finished;
}

int run(int count, char** arguments, MpiSession& session, std::chrono::steady_clock::time_point begun) {
  if (count > 1 && arguments[1] == std::string("memory")) return bench_memory(count, arguments, session);
  CommandLine line;
  const options::options_description description = describe(line);
  parse_command_line("cola_bench", count, arguments, description, line.command);
  if (answer_common_options(line.common, "cola_bench", description, session.world().rank() == 0))
    return exit_finished;
  check(line);
  if (line.command != "startup") return bench(line, session);
  bench_startup(line.configuration, line.settings, session, begun);
  return exit_finished;
}

}  // namespace

int main(int count, char** arguments) {
  const auto begun = std::chrono::steady_clock::now();
  return run_on_ranks(count, arguments, early_choices(count, arguments),
                      [&](MpiSession& session) { return run(count, arguments, session, begun); });
}
