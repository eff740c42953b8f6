// cola_dist: trains a model from a YAML configuration, one MPI rank a device.
#include <fmt/core.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/communicator_choice.h"
#include "apps/device_choice.h"
#include "apps/program.h"
#include "apps/start_report.h"
#include "core/device.h"
#include "dist/launch.h"
#include "dist/launch_environment.h"
#include "train/configuration/run_configuration.h"
#include "train/plan/plan.h"
#include "train/run_status.h"
#include "train/stop_signal.h"
#include "train/trainer.h"

namespace {

namespace options = boost::program_options;
using namespace cola;

struct CommandLine {
  std::string configuration, resume, status;
  std::vector<std::string> settings;
  bool print_configuration = false, plan = false;
  CommonOptions common;
  int ranks = 0;
};

constexpr const char* introduction =
    "cola_dist trains a LLaMA-shaped language model, full-rank or CoLA (arXiv 2502.10940), on one or many "
    "ranks.\n"
    "\n"
    "  mpirun -n 2 cola_dist --config configs/tiny.yaml\n"
    "  srun cola_dist --config configs/7b.yaml --set train.micro_batch=16\n"
    "\n"
    "Exit codes: 0 finished; 2 bad command line or configuration; 75 stopped early by a signal or before "
    "the\n"
    "time limit, with a committed checkpoint (run the same command again); anything else failed.\n\nOptions";

options::options_description describe(CommandLine& line) {
  options::options_description description(introduction, 110);
  auto add = description.add_options();
  add("config", options::value(&line.configuration)->value_name("FILE"), "the run's YAML configuration");
  add("set", options::value(&line.settings)->value_name("SECTION.KEY=VALUE")->composing(),
      "overrides one setting; may be given many times");
  add("resume", options::value(&line.resume)->default_value("auto")->value_name("auto|none|STEP_DIR"),
      "where to start: the newest intact checkpoint of run.dir, step 0, or a checkpoint's folder");
  add("status", options::value(&line.status)->value_name("RUN_DIR"),
      "says how far the run in this directory is, without any rank, and ends");
  add("plan", options::bool_switch(&line.plan),
      "says what the run would need in memory and operations, and ends");
  add("ranks", options::value(&line.ranks)->value_name("N"), "with --plan: the number of ranks to plan for");
  add("print-config", options::bool_switch(&line.print_configuration),
      "prints the resolved configuration and ends");
  add_common_options(description, line.common);
  return description;
}

void check(const CommandLine& line) {
  if (line.configuration.empty()) throw UsageError("--config FILE is missing (see cola_dist --help)");
  if (line.ranks < 0 || (line.ranks > 0 && !line.plan))
    throw UsageError("--ranks N goes with --plan, N from 1");
}

std::string describe_status(const std::string& run_directory) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return describe_run(run_directory, std::chrono::duration_cast<std::chrono::seconds>(now).count());
}

std::string describe_plan_for(const RunConfiguration& configuration, int ranks) {
  return describe_plan(make_plan(configuration, plan_target(configuration, ranks)), configuration);
}

// The answer to a command line that asks for words instead of training; nothing if it asks for training.
std::optional<std::string> answer(const CommandLine& line, int ranks) {
  if (!line.status.empty()) return describe_status(line.status);
  check(line);
  if (!line.print_configuration && !line.plan) return std::nullopt;
  const RunConfiguration configuration = load_run_configuration(line.configuration, line.settings);
  return (line.print_configuration ? to_yaml(configuration) : "") +
         (line.plan ? describe_plan_for(configuration, line.ranks > 0 ? line.ranks : ranks) : "");
}

int train(const CommandLine& line, MpiSession& session, const StopSignal& signal, SystemTime started) {
  Communicator& world = session.world();
  const auto configuration =
      together(world, [&] { return load_run_configuration(line.configuration, line.settings); });
  RankPlace place = place_rank(configuration, session);
  const auto device = together(world, [&] { return make_device(configuration, place); });
  const auto communicator = make_training_communicator(configuration.parallel, *device, session);
  const auto trainer = together(world, [&] {
    return std::make_unique<Trainer>(configuration, *device, *communicator, signal, started);
  });
  report_layout("cola_dist", session, place);
  trainer->start(parse_resume(line.resume));
  return trainer->run();
}

int run(int count, char** arguments, MpiSession& session, const StopSignal& signal, SystemTime started) {
  CommandLine line;
  const options::options_description description = describe(line);
  parse_command_line("cola_dist", count, arguments, description);
  const bool speaks = session.world().rank() == 0;
  if (answer_common_options(line.common, "cola_dist", description, speaks)) return exit_finished;
  const auto words = together(session.world(), [&] { return answer(line, session.world().size()); });
  if (!words) return train(line, session, signal, started);
  if (speaks) fmt::print("{}", *words);
  return exit_finished;
}

// Without a launcher, what needs no ranks starts none: on a login node there may be no MPI to start. Nor does
// --status inside a job, whose script has a launcher's variables: of many ranks the first answers.
std::optional<int> answer_alone(int count, char** arguments) {
  const bool asks_status = std::any_of(arguments, arguments + count, [](const char* word) {
    return std::string_view(word).starts_with("--status");
  });
  const std::optional<LaunchEnvironment> launched = read_launch_environment(environment_variable);
  if (launched && !asks_status) return std::nullopt;
  CommandLine line;
  const options::options_description description = describe(line);
  parse_command_line("cola_dist", count, arguments, description);
  const bool speaks = !launched || launched->placement.rank == 0;
  if (answer_common_options(line.common, "cola_dist", description, speaks)) return exit_finished;
  const std::optional<std::string> words = answer(line, 1);
  if (!words) return std::nullopt;
  if (speaks) fmt::print("{}", *words);
  return exit_finished;
}

}  // namespace

int main(int count, char** arguments) {
  const SystemTime started = std::chrono::system_clock::now();  // MPI may take long to start
  try {
    if (const std::optional<int> code = answer_alone(count, arguments)) return *code;
  } catch (const std::exception& error) {
    log_error(error.what());
    return exit_code_of(error);
  }
  const StopSignal signal;  // may come while ranks still gather, near a job's end or when it is preempted
  return run_on_ranks(count, arguments, early_choices(count, arguments),
                      [&](MpiSession& session) { return run(count, arguments, session, signal, started); });
}
