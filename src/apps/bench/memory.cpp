#include "apps/bench/memory.h"

#include <array>
#include <boost/algorithm/string.hpp>
#include <boost/program_options.hpp>
#include <span>
#include <string>
#include <vector>

#include "apps/common/command_line.h"
#include "apps/common/communicator_choice.h"
#include "apps/common/device_choice.h"
#include "apps/common/together.h"
#include "core/host_memory.h"
#include "core/text.h"
#include "io/files/durable_file.h"
#include "train/benchmarks/memory_benchmark.h"
#include "train/configuration/precision.h"
#include "train/peak_rate.h"

namespace cola {

namespace {

namespace options = boost::program_options;

struct CommandLine {
  std::string command, sizes = "60m,130m,350m,1b,7b", batches = "16,32", configurations = "configs", json;
  std::vector<std::string> settings;
  std::int64_t steps = 3;
  double seconds = 60;
  CommonOptions common;
};

constexpr const char* introduction =
    "cola_bench memory compares full-rank models, CoLA and CoLA-M in memory and speed, on random tokens.\n"
    "\n"
    "  cola_bench memory --sizes 60m,130m --batches 16 --json memory.json\n"
    "\n"
    "A row is measured where the plan fits the memory (train.device_memory_gib, else what is there) and the\n"
    "steps should end in time; others are planned, and say why.\n"
    "\n"
    "Exit codes: 0 done; 2 bad command line or configuration; anything else failed.\n\nOptions";

options::options_description describe(CommandLine& line) {
  options::options_description description(introduction, 110);
  auto add = description.add_options();
  add("sizes", options::value(&line.sizes)->default_value(line.sizes)->value_name("NAME,…"), "models");
  add("batches", options::value(&line.batches)->default_value(line.batches)->value_name("N,…"),
      "micro-batches, in sequences");
  add("configs", options::value(&line.configurations)->default_value(line.configurations)->value_name("DIR"),
      "where NAME.yaml lies");
  add("set", options::value(&line.settings)->value_name("SECTION.KEY=VALUE")->composing(),
      "overrides one setting");
  add("steps", options::value(&line.steps)->default_value(line.steps)->value_name("N"), "timed steps");
  add("seconds", options::value(&line.seconds)->default_value(line.seconds)->value_name("N"),
      "the longest that measuring a row may take; 0: plan alone");
  add("json", options::value(&line.json)->value_name("FILE"),
      "also writes the rows for scripts/plot_memory.py");
  add_common_options(description, line.common);
  return description;
}

std::vector<std::string> items_of(const std::string& list) {
  std::vector<std::string> items;
  boost::split(items, list, boost::is_any_of(","), boost::token_compress_on);
  return items;
}

// What a rank may take: what is stated, or the GPU's memory, or its part of what the host has left; the least
// of all ranks', so that they come to the same verdict. Collective.
MeasuringLimits agreed_limits(const RunConfiguration& configuration, const Device& device,
                              MpiSession& session, double seconds, double product_rate) {
  const std::size_t limit = memory_limit(configuration, {.bytes = device.memory_bytes()}).bytes;
  const std::size_t bytes =
      limit > 0 ? limit : read_host_memory().available_bytes / static_cast<std::size_t>(session.local_size());
  std::array<std::int64_t, 1> least{-static_cast<std::int64_t>(bytes)};
  session.world().all_reduce_maximum(least);
  return {static_cast<std::size_t>(-least[0]), seconds, product_rate};
}

// Of all ranks' plain products, the mean. Collective.
double mean_product_rate(const RunConfiguration& configuration, Device& device, Communicator& world) {
  double rate = measure_product_rate(device, compute_type_of(configuration.train.precision, device),
                                     telling_product_size(device.kind()));
  world.all_reduce(std::span(&rate, 1));
  return rate / world.size();
}

void print_heading() {
  information("{:<10} {:<18} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}", "model", "method", "sequences",
              "state", "activat.", "workspace", "planned", "measured", "tokens/s");
}

void print_row(const MemoryRow& row) {
  const std::size_t activations = row.plan.used(MemoryUse::activations),
                    workspace = row.plan.used(MemoryUse::workspace);
  const std::size_t state = row.plan.peak_bytes() - activations - workspace;
  const std::string measured =
      row.measured ? format_bytes(row.measured->device_bytes + row.plan.kernel_workspace) : "-";
  const std::string speed =
      row.measured ? fmt::format("{:.0f}", row.measured->tokens_per_second) : row.why_planned;
  information("{:<10} {:<18} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}", row.size, row.method,
              row.micro_batch, format_bytes(state), format_bytes(activations), format_bytes(workspace),
              format_bytes(row.plan.peak_bytes()), measured, speed);
}

std::vector<RunConfiguration> load_runs(const CommandLine& line) {
  std::vector<RunConfiguration> runs;
  for (const std::string& size : items_of(line.sizes))
    for (const std::string& batch : items_of(line.batches)) {
      std::vector<std::string> settings = line.settings;
      settings.push_back("train.micro_batch=" + batch);
      settings.push_back("run.name=" + size);
      runs.push_back(load_run_configuration(line.configurations + "/" + size + ".yaml", settings));
    }
  return runs;
}

int bench(const CommandLine& line, MpiSession& session) {
  Communicator& world = session.world();
  const auto runs = together(world, [&] { return load_runs(line); });
  RankPlace place = place_rank(runs.front(), session);
  const auto device = together(world, [&] { return make_device(runs.front(), place); });
  const auto communicator = make_training_communicator(runs.front().parallel, *device, session);
  const double rate = mean_product_rate(runs.front(), *device, world);
  information("{} {}, {}", world.size(), world.size() == 1 ? "rank" : "ranks, each with", device->name());
  print_heading();
  std::vector<MemoryRow> rows;
  for (const RunConfiguration& run : runs)
    for (const TrainingMethod& method : compared_methods()) {
      const MeasuringLimits limits = agreed_limits(run, *device, session, line.seconds, rate);
      print_row(rows.emplace_back(benchmark_memory(run, method, *device, *communicator, line.steps, limits)));
    }
  if (!line.json.empty() && world.rank() == 0) write_file(line.json, to_json(rows));
  return exit_finished;
}

}  // namespace

int bench_memory(int count, char** arguments, MpiSession& session) {
  CommandLine line;
  const options::options_description description = describe(line);
  parse_command_line("cola_bench memory", count, arguments, description, line.command);
  if (answer_common_options(line.common, "cola_bench", description, session.world().rank() == 0))
    return exit_finished;
  if (line.steps < 1 || line.seconds < 0) throw UsageError("--steps is at least 1, --seconds at least 0");
  return bench(line, session);
}

}  // namespace cola
