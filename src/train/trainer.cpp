#include "train/trainer.h"

#include <array>
#include <cmath>

#include "core/error.h"
#include "core/host.h"
#include "core/log.h"
#include "train/agreement.h"
#include "train/brief_attempt.h"
#include "train/evaluation.h"

namespace cola {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

ExitCode Trainer::run() {
  try {
    return train();
  } catch (const AgreedError& error) {
    heartbeat_.fail(error.what());
    throw;
  } catch (const std::exception& error) {
    end_alone(error);
  }
}

// Said before the checkpointer is destroyed, which waits for its writer: a disk may keep that one for long,
// and the launcher may end this process meanwhile.
void Trainer::end_alone(const std::exception& error) {
  log_error(error.what());
  if (speaks())
    note_own_failure(error.what());
  else
    note_failure(error);
  if (communicator_.size() > 1) communicator_.abort(exit_failed);
  throw ReportedError(exit_failed);
}

// Rank 0's: it knows the latest step.
void Trainer::note_own_failure(const std::string& reason) const {
  attempt_briefly(
      [last = heartbeat_, directory = configuration_.run.dir, started = started_, reason]() mutable {
        if (!failure_is_known(directory, started)) last.fail(reason);
      });
}

// What all ranks have met alike rank 0 says for all.
void Trainer::note_failure(const std::exception& error) const noexcept try {
  const bool is_of_all = dynamic_cast<const UsageError*>(&error) != nullptr ||
                         dynamic_cast<const AgreedError*>(&error) != nullptr;
  if (!holds_run_ || (is_of_all && !speaks())) return;
  const bool names_rank = !is_of_all && communicator_.size() > 1;
  const std::string reason =
      names_rank ? fmt::format("rank {} on {}: {}", communicator_.rank(), host_name(), error.what())
                 : error.what();
  attempt_briefly([directory = configuration_.run.dir, reason, started = started_] {
    mark_failed(directory, reason, started);
  });
} catch (const std::exception&) {  // the error itself is said all the same
}

ExitCode Trainer::train() {
  if (state_.step > 0) stop_.ask_for_signal();  // that came during the start; a new run makes a step to save
  if (evaluation_is_due()) make_up_evaluation();
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
  const double waited_before = communicator_.waited_seconds();
  store_.zero_gradients();
  const double local_loss = forward_backward();
  const double own_seconds = seconds_since(begin) - (communicator_.waited_seconds() - waited_before);
  std::array<double, 2> sums{local_loss, static_cast<double>(loader_.targets_of_step())};
  communicator_.all_reduce(sums);  // losses and targets of all ranks

  StepMetrics metrics;
  if (sums[1] == 0)
    throw AgreedError("step {}: the global batch holds no target tokens, only padding", state_.step + 1);
  metrics.loss = sums[0] / sums[1];
  metrics.gradient_norm = store_.gradient_norm() / sums[1];
  require_finite(local_loss, metrics.loss, metrics.gradient_norm);

  metrics.step = state_.step + 1;
  metrics.step_target_tokens = static_cast<std::int64_t>(sums[1]);
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
  metrics.ranks = compare_ranks(communicator_, own_seconds);  // a GPU is busy with the update meanwhile
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

// Where the run was stopped before it. One that fits no job would be begun in each, and no job would make a
// step.
void Trainer::make_up_evaluation() {
  constexpr std::int64_t most_jobs = 3;
  if (evaluations_put_off_ < most_jobs) return evaluate_model();
  evaluated_step_ = state_.step;
  if (speaks())
    warning(
        "step {}: its evaluation was put off by {} jobs and is left out: with fewer evaluation.tokens it "
        "would fit one; cola_dist --evaluate makes it up",
        state_.step, evaluations_put_off_);
}

void Trainer::evaluate_model() {
  const ProfileRange range(device_, "evaluation");
  const bool tried = !stop_.requested();
  const std::optional<EvaluationResult> result =
      evaluate(model_, store_, data_.validation, communicator_, configuration_.train.micro_batch,
               configuration_.evaluation.tokens, [&] { return stop_is_asked_for_in_evaluation(); });
  if (!result) {
    if (metrics_ && tried) metrics_->write_evaluation_put_off(state_.step, stop_.cause());
    return progress_.announce(fmt::format("step {}: evaluation put off", state_.step));
  }
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
  progress_.announce(fmt::format("stopped by {} after step {}, saved; run the same command again to resume",
                                 stop_.cause(), state_.step));
  return exit_run_again;
}

}  // namespace cola
