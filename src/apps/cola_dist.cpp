// cola_dist: trains a model from a YAML configuration, one MPI rank a device.
#include <fmt/core.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apps/common/command_line.h"
#include "apps/common/communicator_choice.h"
#include "apps/common/device_choice.h"
#include "apps/common/exit_code.h"
#include "apps/common/run_program.h"
#include "apps/common/start_report.h"
#include "apps/common/together.h"
#include "core/device.h"
#include "dist/mpi_session.h"
#include "dist/placement/launch_environment.h"
#include "dist/start_guard.h"
#include "train/agreement.h"
#include "train/configuration/common_run.h"
#include "train/configuration/run_configuration.h"
#include "train/evaluation_run.h"
#include "train/plan/plan.h"
#include "train/run_status.h"
#include "train/stop_signal.h"
#include "train/trainer.h"

namespace {

namespace options = boost::program_options;
using namespace cola;

struct CommandLine {
  std::string configuration, resume, status;
  std::vector<std::string> settings, strays;
  bool print_configuration = false, plan = false, evaluate = false;
  CommonOptions common;
  int ranks = 0;
  bool ranks_given = false;
};

constexpr const char* introduction =
    "cola_dist trains a LLaMA-shaped language model, full-rank or CoLA (arXiv 2502.10940), on one or many "
    "ranks.\n"
    "\n"
    "  mpirun -n 2 cola_dist --config configs/tiny.yaml\n"
    "  srun cola_dist --config configs/7b.yaml --set train.micro_batch=16\n"
    "  cola_dist --config configs/tiny.yaml --evaluate\n"
    "\n"
    "SIGTERM, SIGINT (Ctrl-C), SIGHUP, SIGUSR1 and SIGUSR2 stop a run at the end of its step, with a "
    "checkpoint;\n"
    "a second Ctrl-C ends it at once, without one. Open MPI's mpirun kills its ranks one or two seconds "
    "after\n"
    "a SIGTERM or Ctrl-C of its own: stop such a run by SIGUSR1 to mpirun, or start it with\n"
    "--mca odls_base_sigkill_timeout SECONDS.\n"
    "\n"
    "Exit codes: 0 finished; 2 bad command line or configuration, or a --plan that does not fit; 75 stopped\n"
    "early by a signal or before the time limit, with a committed checkpoint (run the same command again to "
    "resume);\n"
    "anything else failed.\n\nOptions";

options::options_description describe(CommandLine& line) {
  options::options_description description(introduction, 110);
  auto add = description.add_options();
  add("config", options::value(&line.configuration)->value_name("FILE"), "the run's YAML configuration");
  add("set", options::value(&line.settings)->value_name("SECTION.KEY=VALUE")->composing(),
      "overrides one setting; may be given many times");
  add("resume", options::value(&line.resume)->default_value("auto")->value_name("auto|none|STEP_DIR"),
      "where to start: the newest intact checkpoint of run.dir, step 0, or a checkpoint's folder");
  add("evaluate", options::bool_switch(&line.evaluate),
      "says the loss of the checkpoint that --resume names on data.validation, and ends; writes nothing");
  add("status", options::value(&line.status)->value_name("RUN_DIR"),
      "says how far the run in this directory is, without any rank, and ends");
  add("plan", options::bool_switch(&line.plan),
      "says what the run would need in memory and operations, and ends; exit code 2 if it does not fit");
  add("ranks",
      options::value(&line.ranks)->value_name("N")->notifier([&line](int) { line.ranks_given = true; }),
      "with --plan: the number of ranks to plan for");
  add("print-config", options::bool_switch(&line.print_configuration),
      "prints the resolved configuration and ends");
  add_common_options(description, line.common);
  return description;
}

// Words without an option are read as well, for a message that names them.
void parse(int count, char** arguments, const options::options_description& description, CommandLine& line) {
  options::options_description all;
  all.add(description).add_options()("stray", options::value(&line.strays));
  options::positional_options_description positional;
  parse_command_line("cola_dist", count, arguments, all, positional.add("stray", -1));
  if (!line.strays.empty() && !line.common.help && !line.common.version)
    throw UsageError("'{}' belongs to no option; did you mean --config {}? (see cola_dist --help)",
                     line.strays[0], line.strays[0]);
}

// What ends without training: one thing at a time.
void require_one_question(const CommandLine& line) {
  std::string asked;
  for (const auto& [name, given] : {std::pair{"--status", !line.status.empty()},
                                    {"--plan", line.plan},
                                    {"--print-config", line.print_configuration},
                                    {"--evaluate", line.evaluate}}) {
    if (!given) continue;
    if (!asked.empty()) throw UsageError("{} and {} ask for different things: give one of them", asked, name);
    asked = name;
  }
}

void check(const CommandLine& line) {
  if (line.configuration.empty()) throw UsageError("--config FILE is missing (see cola_dist --help)");
  if (line.ranks_given && (line.ranks < 1 || !line.plan))
    throw UsageError("--ranks N goes with --plan, N from 1");
  if (line.evaluate && line.resume == "none")
    throw UsageError("--evaluate needs a checkpoint: --resume is auto or a checkpoint's folder");
}

std::string describe_status(const std::string& run_directory) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return describe_run(run_directory, std::chrono::duration_cast<std::chrono::seconds>(now).count());
}

struct Answer {
  std::string words;
  int exit_code = exit_finished;
};

Answer answer_with_plan(const RunConfiguration& configuration, int ranks) {
  const Plan plan = make_plan(configuration, plan_target(configuration, ranks));
  return {describe_plan(plan, configuration), plan.fits() ? exit_finished : exit_usage};
}

// The answer to a command line that asks for words instead of training; nothing if it asks for training.
std::optional<Answer> answer(const CommandLine& line, int ranks) {
  require_one_question(line);
  if (!line.status.empty()) return Answer{describe_status(line.status)};
  check(line);
  if (!line.print_configuration && !line.plan) return std::nullopt;
  const RunConfiguration configuration = load_run_configuration(line.configuration, line.settings);
  if (line.print_configuration) return Answer{to_yaml(configuration)};
  return answer_with_plan(configuration, line.ranks_given ? line.ranks : ranks);
}

int say(const Answer& answer) {
  fmt::print("{}", answer.words);
  return unless_output_failed(answer.exit_code);
}

// Ranks read files and make devices on nodes of their own: before they work together, they compare notes.
void settle_common_run(RunConfiguration& configuration, const CommandLine& line, const Device& device,
                       MpiSession& session) {
  std::vector<Setting> settings = describe_run_of_rank(configuration, device.kind());
  settings.push_back({"--resume", line.resume});
  settings.push_back({"--evaluate", line.evaluate ? "given" : "not given"});
  require_common_run(session.world(), settings, session.host());
  configuration.train.precision =
      common_precision(session.world(), configuration.train.precision, device.prefers_bfloat16());
}

// For rank 0. A path is looked for where a run starts, which can do without its folder if it resumed from it
// before.
void check_start(const CommandLine& line) {
  const bool is_path = line.resume.find('/') != line.resume.npos || std::filesystem::exists(line.resume);
  if (line.resume != "auto" && line.resume != "none" && !is_path)
    throw UsageError("--resume {}: neither auto, none, nor a checkpoint's folder", line.resume);
}

// What a rank has before it trains or evaluates.
struct Job {
  const CommandLine& line;
  MpiSession& session;
  const StopSignal& signal;
  SystemTime started;
  RunConfiguration configuration;
  RankPlace place;
  std::unique_ptr<Device> device;
  std::unique_ptr<Communicator> communicator;
};

// While it lives, the run's heartbeat says why a watchdog has ended the job.
class LastWord {
 public:
  LastWord(Watchdog& watchdog, const Trainer& trainer) : watchdog_(watchdog) {
    watchdog.set_last_word([&](const std::string& problem) { trainer.note_failure(Error("{}", problem)); });
  }
  ~LastWord() { watchdog_.set_last_word({}); }
  LastWord(const LastWord&) = delete;
  LastWord& operator=(const LastWord&) = delete;

 private:
  Watchdog& watchdog_;
};

int train(Job& job) {
  const auto trainer = together(job.session.world(), [&] {
    return std::make_unique<Trainer>(job.configuration, *job.device, *job.communicator, job.signal,
                                     job.started);
  });
  report_layout("cola_dist", job.session, job.place);
  const LastWord last_word(job.session.watchdog(), *trainer);
  try {
    trainer->start(parse_resume(job.line.resume));
  } catch (const std::exception& error) {
    trainer->note_failure(error);
    throw;
  }
  return trainer->run();
}

int evaluate(Job& job) {
  const CheckpointEvaluation done = evaluate_checkpoint(job.configuration, *job.device, *job.communicator,
                                                        parse_resume(job.line.resume), job.signal);
  information("{}: validation loss {:.6f}, perplexity {:.4f}, {} tokens", done.folder, done.result.loss,
              done.result.perplexity(), done.result.tokens);
  return job.session.world().rank() == 0 ? unless_output_failed(exit_finished) : exit_finished;
}

// The guard goes where the session's watchdog takes over.
int work(const CommandLine& line, MpiSession& session, const StopSignal& signal, SystemTime started,
         StartGuard& guard) {
  Communicator& world = session.world();
  if (world.rank() == 0) signal.announce_when_received();
  Job job{line, session, signal, started, {}, {}, {}, {}};
  job.configuration =
      together(world, [&] { return load_run_configuration(line.configuration, line.settings); });
  guard.enter("the choice of a GPU");
  job.place = place_rank(job.configuration, session);
  guard.enter("the making of the device");
  job.device = together(world, [&] { return make_device(job.configuration, job.place); });
  guard.enter("the comparison of the ranks' settings");
  settle_common_run(job.configuration, line, *job.device, session);
  on_rank_0(world, [&] { check_start(line); });
  guard.dismiss();
  job.communicator = make_training_communicator(job.configuration.parallel, *job.device, session);
  return line.evaluate ? evaluate(job) : train(job);
}

int run(int count, char** arguments, MpiSession& session, const StopSignal& signal, SystemTime started,
        StartGuard& guard) {
  guard.enter("the reading of the configuration");
  CommandLine line;
  const options::options_description description = describe(line);
  parse(count, arguments, description, line);
  const bool speaks = session.world().rank() == 0;
  if (answer_common_options(line.common, "cola_dist", description, speaks)) return exit_finished;
  const auto words = together(session.world(), [&] { return answer(line, session.world().size()); });
  if (!words) return work(line, session, signal, started, guard);
  return speaks ? say(*words) : words->exit_code;
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
  parse(count, arguments, description, line);
  const bool speaks = !launched || launched->placement.rank == 0;
  if (answer_common_options(line.common, "cola_dist", description, speaks))
    return unless_output_failed(exit_finished);
  try {
    const std::optional<Answer> words = answer(line, 1);
    if (!words) return std::nullopt;
    return speaks ? say(*words) : words->exit_code;
  } catch (const FileError& error) {
    throw UsageError("{}", error.what());
  }
}

}  // namespace

int main(int count, char** arguments) {
  const SystemTime started = std::chrono::system_clock::now();  // MPI may take long to start
  return run_program("cola_dist", [&] {
    if (const std::optional<int> code = answer_alone(count, arguments)) return *code;
    const StopSignal signal;  // may come while ranks still gather, near a job's end or when it is preempted
    std::signal(SIGPIPE, SIG_IGN);  // `| tee log` dies of Ctrl-C before the run has saved
    StartGuard guard(read_launch_environment(environment_variable));
    guard.enter("the reading of the configuration");
    const std::optional<EarlySettings> early = early_settings(count, arguments);
    if (early) guard.allow(early->timeout);
    return run_on_ranks(
        count, arguments, early.value_or(EarlySettings()).place,
        [&](MpiSession& session) { return run(count, arguments, session, signal, started, guard); }, &guard);
  });
}
