#include "train/trainer.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/error.h"
#include "core/host.h"
#include "core/log.h"
#include "io/checkpoint_directory.h"
#include "io/durable_file.h"
#include "model/cost.h"
#include "train/agreement.h"
#include "train/checkpoints/load_checkpoint.h"
#include "train/configuration/precision.h"
#include "train/configuration/transformer_options.h"
#include "train/evaluation.h"
#include "train/peak_rate.h"
#include "train/plan/memory_plan.h"
#include "train/plan/plan.h"

namespace cola {

namespace {

using Clock = std::chrono::steady_clock;

// Bytes a second of one rank, until a checkpoint has shown what the file system can do.
constexpr double careful_write_rate = 100e6;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Before anything else is allocated, so that its memory never adds to the run's.
double measure_products_alone(Device& device, DataType type) {
  const double rate = measure_product_rate(device, type, quick_product_size(device.kind()));
  device.reset_peak_allocated_bytes();
  return rate;
}

// The compute type, once a rank is known to find room for the run.
DataType checked_compute_type(const RunConfiguration& configuration, const Device& device, int ranks) {
  const DataType type = compute_type_of(configuration.train.precision, device);
  require_memory(configuration, {ranks, device.kind(), type}, device.memory_bytes());
  return type;
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

}  // namespace

Trainer::Trainer(const RunConfiguration& configuration, Device& device, Communicator& communicator,
                 const StopSignal& signal, SystemTime started)
    : configuration_(configuration),
      device_(device),
      communicator_(communicator),
      started_(first_start(communicator, started)),
      table_(configuration.model),
      data_(open_run_data(configuration, communicator)),
      compute_type_(checked_compute_type(configuration, device, communicator.size())),
      product_rate_(measure_products_alone(device, compute_type_)),
      loader_(data_.training, configuration.run.seed, configuration.train.global_batch,
              configuration.train.micro_batch, communicator.rank(), communicator.size()),
      schedule_{configuration.optimizer.lr, configuration.schedule.total_steps,
                configuration.schedule.warmup_steps, configuration.schedule.min_lr_ratio},
      model_(device, table_, transformer_options(configuration, compute_type_, device.kind())),
      store_(device, communicator, table_, {configuration.parallel.zero_stage, compute_type_}),
      checkpointer_(device, communicator, table_, store_, configuration),
      job_end_(find_job_end(environment_variable, configuration.run.time_limit, started_)),
      stop_(communicator, signal, job_end_, static_cast<double>(configuration.run.stop_margin),
            static_cast<double>(store_.master_weights().bytes()) * 3 / careful_write_rate),
      progress_(configuration.schedule.total_steps, communicator.rank() == 0),
      heartbeat_(configuration.run.dir, state_at_start(configuration, communicator.size(), job_end_),
                 communicator.rank() == 0),
      operations_per_token_(
          training_operations_per_token(configuration.model, configuration.data.sequence_length)) {}

void Trainer::start(const ResumeChoice& resume) {
  RunStart found = find_start(communicator_, {configuration_, table_, data_.record}, resume);
  lock_ = std::move(found.lock);
  checkpointer_.set_attempt(found.attempt);
  checkpointer_.set_data(data_.record);
  if (found.folder.empty()) {
    store_.initialize(configuration_.run.seed);
  } else {
    state_ = load_checkpoint(found.folder, communicator_, device_, store_);
    if (found.is_own) checkpointer_.set_committed_step(state_.step);
  }
  communicator_.all_reduce(std::span(&product_rate_, 1));
  open_run_directory(found.is_own && finished());
  if (speaks()) report_start(found);
}

// config.yaml says what a run was trained with; one that has no step left keeps what stands there.
void Trainer::open_run_directory(bool is_finished) {
  std::array<std::int64_t, 1> evaluated{-1};
  on_rank_0(communicator_, [&] {
    if (!is_finished) write_file(configuration_.run.dir + "/config.yaml", to_yaml(configuration_));
    metrics_ = std::make_unique<MetricsWriter>(configuration_.run.dir + "/metrics.jsonl", state_.step);
    evaluated[0] = metrics_->evaluated_step();
    heartbeat_.note_start(state_.step);
    heartbeat_.beat("starting");
  });
  communicator_.all_reduce_maximum(evaluated);
  evaluated_step_ = evaluated[0];
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
  information("{}", describe_data());
  const std::int64_t steps = configuration_.schedule.total_steps;
  if (start.folder.empty()) return information("starts at step 0 of {}", steps);
  information("resumes from {}, step {} of {}", start.folder, state_.step, steps);
  if (!start.changes.empty()) information("changed since that checkpoint: {}", start.changes);
  if (finished() && evaluated_step_ == state_.step)
    information("nothing is left to do: the run is finished, step {} is its last (schedule.total_steps)",
                steps);
}

std::string Trainer::describe_memory_of_rank() const {
  const PlanTarget target{communicator_.size(), device_.kind(), compute_type_};
  const MemoryLimit limit{
      memory_limit(configuration_, device_.memory_bytes()),
      configuration_.train.device_memory_gib > 0 ? "train.device_memory_gib" : "the device's memory"};
  std::string table = describe_memory(plan_memory(configuration_, target), target, configuration_, limit);
  table.pop_back();  // the last line's end, which the log writes itself
  return table;
}

std::string Trainer::describe_data() const {
  const auto in_files = [](const TokenDataset& data) {
    return fmt::format("{} tokens in {} {}", format_count(static_cast<double>(data.tokens())), data.files(),
                       data.files() == 1 ? "file" : "files");
  };
  const std::int64_t steps = configuration_.schedule.total_steps;
  const double epochs = static_cast<double>(steps * configuration_.train.global_batch) /
                        static_cast<double>(data_.training.samples());
  return fmt::format("data: {}, {} sequences of {}; {} steps are {:.3g} epochs\nvalidation: {}",
                     in_files(data_.training), data_.training.samples(), data_.training.sequence_length(),
                     steps, epochs, in_files(data_.validation));
}

ExitCode Trainer::run() {
  try {
    return train();
  } catch (const AgreedError&) {
    heartbeat_.last_word("failed");
    throw;
  } catch (const std::exception& error) {
    end_alone(error);
  }
}

// Said before the checkpointer is destroyed, which waits for its writer: a disk may keep that one for long,
// and the launcher may end this process meanwhile.
void Trainer::end_alone(const std::exception& error) {
  log_error(error.what());
  heartbeat_.last_word("failed");
  if (communicator_.size() > 1) communicator_.abort(exit_failed);
  throw ReportedError(exit_failed);
}

ExitCode Trainer::train() {
  if (evaluation_is_due()) evaluate_model();  // where the run was stopped before it
  while (!finished() && !stop_.requested()) {
    StepMetrics metrics = step();
    after_step(metrics);
    proceed_with_checkpoint();
    stop_.ask();
  }
  return finish();
}

StepMetrics Trainer::step() {
  const ProfileRange range(device_, "step");
  const auto begin = Clock::now();
  store_.zero_gradients();
  const double local_loss = forward_backward();
  std::array<double, 2> sums{local_loss, static_cast<double>(loader_.targets_of_step())};
  communicator_.all_reduce(sums);  // losses and targets of all ranks

  StepMetrics metrics;
  metrics.loss = sums[0] / sums[1];
  metrics.gradient_norm = store_.gradient_norm() / sums[1];
  require_finite(local_loss, metrics.loss, metrics.gradient_norm);

  metrics.step = state_.step + 1;
  metrics.learning_rate = schedule_.at(metrics.step);
  const OptimizerSection& optimizer = configuration_.optimizer;
  checkpointer_.finish_snapshot();
  store_.update({.learning_rate = static_cast<float>(metrics.learning_rate),
                 .beta1 = static_cast<float>(optimizer.beta1),
                 .beta2 = static_cast<float>(optimizer.beta2),
                 .epsilon = static_cast<float>(optimizer.eps),
                 .weight_decay = static_cast<float>(optimizer.weight_decay),
                 .step = metrics.step,
                 .gradient_scale = clip_factor(metrics.gradient_norm) / static_cast<float>(sums[1])});

  state_.step = metrics.step;
  state_.next_sample += configuration_.train.global_batch;
  state_.tokens += configuration_.train.global_batch * configuration_.data.sequence_length;
  add_rates(metrics, seconds_since(begin));
  return metrics;
}

// Forward and backward over this rank's micro-batches; gradients are summed, and reduced as the last one
// completes them. A GPU is given all of them before the first wait: the next one's tokens are read while it
// works on one.
double Trainer::forward_backward() {
  for (std::int64_t index = 0; index < loader_.micro_batches(); ++index) {
    const TokenBatch batch = loader_.load(state_.next_sample, index);
    if (index + 1 == loader_.micro_batches()) store_.begin_last_micro_batch();
    model_.forward_backward(store_, batch);
    checkpointer_.advance();
  }
  return model_.take_loss();
}

float Trainer::clip_factor(double gradient_norm) const {
  const double limit = configuration_.optimizer.grad_clip;
  return limit > 0 && gradient_norm > limit ? static_cast<float>(limit / gradient_norm) : 1.0f;
}

// Sums over all ranks are what is looked at: every rank comes to the same verdict, and then says whether it
// was its own loss. A gradient's rank cannot be told once it is summed.
void Trainer::require_finite(double local_loss, double loss, double gradient_norm) {
  if (std::isfinite(loss) && std::isfinite(gradient_norm)) return;
  std::string ranks;
  const std::vector<std::string> verdicts = communicator_.all_gather(std::isfinite(local_loss) ? "" : "bad");
  for (std::size_t rank = 0; rank < verdicts.size(); ++rank)
    if (!verdicts[rank].empty()) ranks += fmt::format("{}{}", ranks.empty() ? " of rank " : ", ", rank);
  // A checkpoint that fails now must not take the place of what went wrong first.
  const std::string failure = error_of([&] {
    if (const auto saved = checkpointer_.wait()) report(*saved);
  });
  const std::int64_t saved = checkpointer_.committed_step();
  throw NumericalError(
      "step {}: the {}{} is not finite; the weights are untouched, the last checkpoint is {}{}",
      state_.step + 1, std::isfinite(loss) ? "gradient" : "loss", ranks,
      saved < 0 ? std::string("none") : fmt::format("step {}", saved), failure.empty() ? "" : "; " + failure);
}

void Trainer::add_rates(StepMetrics& metrics, double seconds) const {
  const auto tokens =
      static_cast<double>(configuration_.train.global_batch * configuration_.data.sequence_length);
  metrics.tokens = state_.tokens;
  metrics.step_seconds = seconds;
  metrics.tokens_per_second = tokens / seconds;
  metrics.model_flops_utilization = metrics.tokens_per_second * operations_per_token_ / product_rate_;
  metrics.peak_bytes = device_.peak_allocated_bytes();
}

void Trainer::after_step(StepMetrics& metrics) {
  metrics.checkpoint_blocked_seconds = checkpointer_.take_blocked_seconds();
  if (metrics_) metrics_->write(metrics);
  progress_.show(metrics);
  stop_.learn_step(metrics.step_seconds);
  heartbeat_.note_step(metrics);
  heartbeat_.beat("training");
  if (evaluation_is_due()) evaluate_model();
  if (is_due(configuration_.checkpoint.every) && !finished()) start_checkpoint();
}

bool Trainer::evaluation_is_due() const {
  return evaluated_step_ != state_.step &&
         (finished() || (state_.step > 0 && is_due(configuration_.evaluation.every)));
}

void Trainer::evaluate_model() {
  const ProfileRange range(device_, "evaluation");
  const std::optional<EvaluationResult> result =
      evaluate(model_, store_, data_.validation, communicator_, configuration_.train.micro_batch,
               configuration_.evaluation.tokens, [&] { return stop_is_asked_for_in_evaluation(); });
  if (!result) return progress_.announce(fmt::format("step {}: evaluation put off", state_.step));
  evaluated_step_ = state_.step;
  if (metrics_) metrics_->write_evaluation(state_.step, *result);
  progress_.announce(fmt::format("step {}: validation loss {:.4f}, perplexity {:.2f}", state_.step,
                                 result->loss, result->perplexity()));
}

// Between two micro-batches, on all ranks. A checkpoint on all disks must not stay uncommitted for as long as
// an evaluation takes.
bool Trainer::stop_is_asked_for_in_evaluation() {
  heartbeat_.beat("evaluating");
  checkpointer_.advance();
  proceed_with_checkpoint();
  return stop_.ask();
}

// One checkpoint at a time: an interval shorter than the writing takes makes training wait here. If it is to
// stop when it has waited, finish() saves this step.
void Trainer::start_checkpoint() {
  const ProfileRange range(device_, "checkpoint");
  if (const auto saved = checkpointer_.wait()) {
    report(*saved);
    if (stop_.ask()) return;
  }
  if (configuration_.checkpoint.async) return checkpointer_.start(state_);
  report(checkpointer_.save(state_));
}

// Once no rank's writer is at work any more, the checkpoint under way goes on, on all ranks at the same step.
void Trainer::proceed_with_checkpoint() {
  if (!checkpointer_.under_way()) return;
  std::array<std::int64_t, 1> busy{checkpointer_.busy() ? 1 : 0};
  communicator_.all_reduce_maximum(busy);
  if (busy[0] > 0) return;
  if (const auto saved = checkpointer_.proceed()) report(*saved);
}

void Trainer::report(const SaveOutcome& saved) {
  if (saved.error.empty()) {
    stop_.learn_checkpoint(saved.seconds);
    if (metrics_)
      metrics_->write_event("checkpoint", saved.step, fmt::format("committed in {:.2f} s", saved.seconds));
    return progress_.announce(fmt::format("step {}: saved {}/{} in {:.2f} s", saved.step,
                                          checkpoints_of(configuration_), checkpoint_name(saved.step),
                                          saved.seconds));
  }
  if (metrics_) metrics_->write_event("checkpoint_failed", saved.step, saved.error);
  if (saved.failures_in_a_row >= configuration_.checkpoint.max_failures)
    throw AgreedError("{} checkpoints in a row failed (checkpoint.max_failures), the last one at step {}: {}",
                      saved.failures_in_a_row, saved.step, saved.error);
  const bool ends = finished() || stop_.requested();
  if (ends && saved.step == state_.step)
    throw AgreedError("the checkpoint of step {}, the last of this job, failed: {}", saved.step, saved.error);
  if (speaks())
    warning("the checkpoint of step {} failed, {}: {}", saved.step,
            ends ? "the one that ends the run is still to come" : "training goes on", saved.error);
}

void Trainer::save_last_step() {
  if (const auto saved = checkpointer_.wait()) report(*saved);
  if (checkpointer_.committed_step() == state_.step) return;
  report(checkpointer_.save(state_));
}

ExitCode Trainer::finish() {
  heartbeat_.last_word("saving");
  save_last_step();
  progress_.finish();
  const bool done = finished() && evaluated_step_ == state_.step;
  heartbeat_.last_word(done ? "finished" : "stopped");
  if (done) {
    progress_.announce(
        fmt::format("finished step {}; run directory {}", state_.step, configuration_.run.dir));
    return exit_finished;
  }
  progress_.announce(fmt::format("stopped by {} after step {}, saved; run the same command to go on",
                                 stop_.cause(), state_.step));
  return exit_run_again;
}

}  // namespace cola
