// The trainer's start: what it allocates, where it begins, and what it says of the run.
#include <algorithm>
#include <array>
#include <filesystem>
#include <set>
#include <system_error>

#include "core/error.h"
#include "core/host.h"
#include "core/log.h"
#include "core/text.h"
#include "io/checkpoints/checkpoint_directory.h"
#include "io/checkpoints/shard_writer.h"
#include "io/files/durable_file.h"
#include "io/files/run_directory.h"
#include "model/cost.h"
#include "train/agreement.h"
#include "train/checkpoints/load_checkpoint.h"
#include "train/configuration/precision.h"
#include "train/configuration/transformer_options.h"
#include "train/evaluation.h"
#include "train/past_pace.h"
#include "train/peak_rate.h"
#include "train/plan/plan.h"
#include "train/plan/rank_memory.h"
#include "train/trainer.h"

namespace cola {

namespace {

// Bytes a second of one rank, until a checkpoint has shown what the file system can do.
constexpr double careful_write_rate = 100e6;

// Before anything else is allocated, so that its memory never adds to the run's.
double measure_products_alone(Device& device, DataType type) {
  const double rate = measure_product_rate(device, type, quick_product_size(device.kind()));
  device.reset_peak_allocated_bytes();
  return rate;
}

// When the first of all ranks started, by this rank's clock: ranks start one after another and wait for the
// last, and clocks differ. Collective.
SystemTime first_start(Communicator& communicator, SystemTime started) {
  communicator.barrier();
  const SystemTime now = std::chrono::system_clock::now();
  std::array<std::int64_t, 1> age{(now - started).count()};
  communicator.all_reduce_maximum(age);
  return now - SystemTime::duration(age[0]);
}

LearningRateSchedule make_schedule(const RunConfiguration& configuration) {
  const ScheduleSection& schedule = configuration.schedule;
  return {.peak = configuration.optimizer.lr,
          .total_steps = schedule.total_steps,
          .warmup_steps = schedule.warmup_steps,
          .min_ratio = schedule.min_lr_ratio,
          .decay = schedule.decay,
          .decay_steps = schedule.decay_steps};
}

}  // namespace

Trainer::Trainer(const RunConfiguration& configuration, Device& device, Communicator& communicator,
                 const StopSignal& signal, SystemTime started)
    : configuration_(configuration),
      device_(device),
      communicator_(communicator),
      started_(first_start(communicator, started)),
      table_(configuration.model),
      data_(open_run_data(configuration, communicator)),
      compute_type_(compute_type_of(configuration.train.precision, device)),
      memory_limit_(require_room_for_rank(configuration, device, compute_type_, communicator)),
      product_rate_(measure_products_alone(device, compute_type_)),
      loader_(data_.training, configuration.run.seed, configuration.train.global_batch,
              configuration.train.micro_batch, communicator.rank(), communicator.size()),
      schedule_(make_schedule(configuration)),
      model_(device, table_, transformer_options(configuration, compute_type_, device.kind())),
      store_(device, communicator, table_, {configuration.parallel.zero_stage, compute_type_}),
      checkpointer_(device, communicator, table_, store_, configuration),
      job_end_(find_job_end(environment_variable, configuration.run.time_limit, started_)),
      stop_(communicator, signal, job_end_, static_cast<double>(configuration.run.stop_margin),
            static_cast<double>(store_.master_weights().bytes() * all_state_tensors.size()) /
                careful_write_rate),
      progress_(configuration.schedule.total_steps, communicator.rank() == 0),
      heartbeat_(configuration.run.dir, state_at_start(configuration, communicator.size(), job_end_),
                 communicator.rank() == 0),
      operations_per_token_(
          training_operations_per_token(configuration.model, configuration.data.sequence_length)) {}

void Trainer::start(const ResumeChoice& resume) {
  on_rank_0(communicator_, [&] { require_targets(data_.validation, configuration_.evaluation.tokens); });
  RunStart found = find_start(communicator_, {configuration_, table_, data_.record}, resume);
  lock_ = std::move(found.lock);
  holds_run_ = true;
  checkpointer_.set_attempt(found.attempt);
  checkpointer_.set_data(data_.record);
  if (found.folder.empty()) {
    store_.initialize(configuration_.run.seed);
  } else {
    state_ = load_checkpoint(found.folder, communicator_, device_, store_);
    if (found.is_own) checkpointer_.set_committed_step(state_.step);
  }
  communicator_.all_reduce(std::span(&product_rate_, 1));
  learn_past_pace();
  open_run_directory(found.is_own && finished());
  const std::vector<std::string> hosts = communicator_.all_gather(host_name());
  if (metrics_)
    metrics_->write_start(state_.step, communicator_.size(),
                          std::ssize(std::set<std::string>(hosts.begin(), hosts.end())), found.folder,
                          operations_per_token_);
  heartbeat_.set_hosts(hosts);
  if (!speaks()) return;
  report_start(found);
  warn_of_short_job();
  warn_of_full_disk();
}

// The first checkpoint may come late in a job, or never.
void Trainer::learn_past_pace() {
  std::array<std::int64_t, 2> microseconds{};  // all ranks look at the job's end
  on_rank_0(communicator_, [&] {
    const PastPace pace = read_past_pace(configuration_.run.dir, communicator_.size());
    microseconds = {static_cast<std::int64_t>(1e6 * pace.step_seconds),
                    static_cast<std::int64_t>(1e6 * pace.checkpoint_seconds)};
  });
  communicator_.all_reduce_maximum(microseconds);
  stop_.learn_step(1e-6 * static_cast<double>(microseconds[0]));
  if (microseconds[1] > 0) stop_.learn_checkpoint(1e-6 * static_cast<double>(microseconds[1]));
}

// Such a job ends well, with its checkpoint, and yet a chain of them gets nowhere.
void Trainer::warn_of_short_job() const {
  if (!stop_.is_near() || finished()) return;
  warning(
      "the job ends in {:.0f} s, of which {:.0f} s are kept to save in (run.stop_margin, two steps, two "
      "checkpoints): it makes a few steps at most; ask for more time",
      *stop_.seconds_left(), stop_.margin());
}

// Now, and not when the disk is full, weeks later.
void Trainer::warn_of_full_disk() const {
  const std::string directory = checkpoints_of(configuration_);
  std::error_code problem;
  const std::filesystem::space_info space = std::filesystem::space(directory, problem);
  if (problem || finished()) return;
  const std::uint64_t size = checkpoint_bytes(store_.shard_map());
  const auto room = static_cast<std::int64_t>(space.available / size);
  const std::int64_t most = most_checkpoints(configuration_.checkpoint, configuration_.schedule.total_steps);
  const std::int64_t missing = most - std::ssize(committed_checkpoints(directory)) - room;
  if (missing > 0)
    warning(
        "{}: has room for {} more {} of {}, and at the end of the run {} lie there (checkpoint.keep, "
        "keep_every, and one that is being written): keep fewer, or free {}",
        directory, room, room == 1 ? "checkpoint" : "checkpoints", format_bytes(size), most,
        format_bytes(static_cast<std::uint64_t>(missing) * size));
}

// config.yaml says what a run was trained with; one that has no step left keeps what stands there.
void Trainer::open_run_directory(bool is_finished) {
  std::array<std::int64_t, 2> evaluations{-1, 0};
  on_rank_0(communicator_, [&] {
    if (!is_finished) write_file(configuration_file(configuration_.run.dir), to_yaml(configuration_));
    metrics_ = std::make_unique<MetricsWriter>(metrics_file(configuration_.run.dir), state_.step);
    evaluations = {metrics_->evaluated_step(), metrics_->evaluations_put_off()};
    remove_unfinished_heartbeats(configuration_.run.dir);
    heartbeat_.note_start(state_.step);
    heartbeat_.beat("starting");
  });
  communicator_.all_reduce_maximum(evaluations);
  evaluated_step_ = evaluations[0];
  evaluations_put_off_ = evaluations[1];
}

void Trainer::report_start(const RunStart& start) const {
  const auto parameters = static_cast<double>(table_.logical_elements());
  const bool cola = configuration_.model.projection == ProjectionKind::cola;
  information("{}: {} {} parameters, {} FLOP a token", configuration_.run.name, format_count(parameters),
              cola ? "CoLA" : "full-rank", format_count(operations_per_token_));
  information("ranks: {} over {}, ZeRO stage {}", communicator_.size(), communicator_.transport(),
              configuration_.parallel.zero_stage);
  information("precision {}, plain products {}FLOP/s in all", name_of(compute_type_),
              format_count(product_rate_));
  information("{}", describe_memory_of_rank());
  if (device_.kind() == DeviceKind::cuda && configuration_.train.cuda_graphs == RecordedPasses::on &&
      recordable_passes(loader_.micro_batches(), configuration_.parallel.zero_stage, communicator_.size()) ==
          0)
    warning(
        "train.cuda_graphs: none of a step's micro-batches can be recorded on {} ranks at ZeRO stage {} "
        "(a rank has {})",
        communicator_.size(), configuration_.parallel.zero_stage, loader_.micro_batches());
  information("{}", describe_data());
  const std::int64_t steps = configuration_.schedule.total_steps;
  if (start.folder.empty()) return information("starts at step 0 of {}", steps);
  information("resumes from {}, step {} of {}", start.folder, state_.step, steps);
  if (!start.changes.empty()) information("changed since that checkpoint: {}", start.changes);
  if (start.changes.find("schedule.") != std::string::npos ||
      start.changes.find("optimizer.lr") != std::string::npos)
    information("the learning rate goes on at {:.2e} in step {}", schedule_.at(state_.step + 1),
                state_.step + 1);
  if (finished() && evaluated_step_ == state_.step)
    information("nothing is left to do: the run is finished, step {} is its last (schedule.total_steps)",
                steps);
}

std::string Trainer::describe_memory_of_rank() const {
  const PlanTarget target{communicator_.size(), device_.kind(), compute_type_};
  std::string table = describe_memory(plan_memory_of_rank(configuration_, target, communicator_), target,
                                      configuration_, memory_limit_);
  table.pop_back();  // the last line's end, which the log writes itself
  return table;
}

std::string Trainer::describe_data() const {
  const auto in_files = [](const TokenDataset& data) {
    return fmt::format("{} tokens in {} {}", format_count(static_cast<double>(data.tokens())), data.files(),
                       data.files() == 1 ? "file" : "files");
  };
  return fmt::format("data: {}, {} sequences of {}; {} steps are {}\nvalidation: {}",
                     in_files(data_.training), data_.training.samples(), data_.training.sequence_length(),
                     configuration_.schedule.total_steps, describe_epochs(), in_files(data_.validation));
}

// How often the whole run reads its data: all of them, or a line for each corpus.
std::string Trainer::describe_epochs() const {
  const std::vector<Corpus>& corpora = data_.training.corpora();
  const CorpusBlend blend = blend_of(corpora);
  const auto samples =
      static_cast<double>(configuration_.schedule.total_steps * configuration_.train.global_batch);
  const auto epochs = [&](std::size_t i) {
    return fmt::format("{:.3g} epochs", blend.share(i) * samples / static_cast<double>(corpora[i].samples));
  };
  if (corpora.size() == 1) return epochs(0);
  std::string text = fmt::format("a blend of {} corpora", corpora.size());
  for (std::size_t i = 0; i < corpora.size(); ++i)
    text += fmt::format("\n  {}: {:.3g} %, {} tokens, {}", corpora[i].name, 100 * blend.share(i),
                        format_count(static_cast<double>(corpora[i].tokens)), epochs(i));
  return text;
}

}  // namespace cola
