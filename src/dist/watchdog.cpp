#include "dist/watchdog.h"

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <utility>

#include "core/error.h"
#include "core/log.h"

namespace cola {

Watchdog::Watchdog(std::function<void()> end_job, std::chrono::seconds grace, Words words)
    : end_job_(std::move(end_job)), grace_(grace), words_(std::move(words)) {}

Watchdog::~Watchdog() = default;

void Watchdog::start(std::chrono::milliseconds limit) {
  limit_ = limit;
  oversee();
  thread_ = std::jthread([this](const std::stop_token& stop) { watch(stop); });
}

void Watchdog::add(BackgroundCollectives& collectives) {
  const std::lock_guard lock(mutex_);
  background_.push_back({&collectives});
  if (thread_.joinable()) oversee();
}

void Watchdog::remove(BackgroundCollectives& collectives) {
  const std::lock_guard lock(mutex_);
  std::erase_if(background_, [&](const Background& entry) { return entry.collectives == &collectives; });
}

void Watchdog::set_last_word(std::function<void(const std::string&)> last_word) {
  const std::lock_guard lock(mutex_);
  if (overseer_) overseer_->set_last_word(last_word);
  last_word_ = std::move(last_word);
}

double Watchdog::seconds_inside() const {
  const std::lock_guard lock(mutex_);
  return all_inside_.count();
}

Watchdog::Inside::Inside(Watchdog& watchdog, const char* operation) : watchdog_(watchdog) {
  const std::lock_guard lock(watchdog_.mutex_);
  entry_ = watchdog_.entered_.insert(watchdog_.entered_.end(), {operation});
}

Watchdog::Inside::~Inside() {
  const std::lock_guard lock(watchdog_.mutex_);
  watchdog_.all_inside_ += std::chrono::steady_clock::now() - begin_;
  watchdog_.entered_.erase(entry_);
}

// Time is counted in the watchdog's own ticks. A whole job may be suspended for hours and go on: such a tick
// counts as a quarter of the limit at most.
void Watchdog::watch(const std::stop_token& stop) {
  using Clock = std::chrono::steady_clock;
  constexpr Seconds shortest(0.01), longest(1);
  const Seconds interval = limit_ > Seconds(0) ? std::clamp(limit_ / 20, shortest, longest) : longest;
  auto last = Clock::now();
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, stop, interval, [&] { return stop.stop_requested(); })) {
    const auto now = Clock::now();
    const Seconds tick = std::min<Seconds>(now - last, std::max(limit_ / 4, interval));
    last = now;
    const std::string problem = find_problem(tick);
    if (!problem.empty()) return end(problem);
  }
}

std::string Watchdog::problem_of(const char* operation, Seconds inside) const {
  if (limit_ == Seconds(0) || inside < limit_) return {};
  return words_(operation, inside.count());
}

std::string Watchdog::stuck_in(const char* operation, double seconds) {
  return fmt::format(
      "stuck in {} for {:.0f} s: another rank is dead, stopped or far behind; the job ends "
      "(parallel.timeout_seconds)",
      operation, seconds);
}

// What ends the job now that `tick` more has passed; empty if nothing does.
std::string Watchdog::find_problem(Seconds tick) {
  for (Entered& entry : entered_) {
    entry.inside += tick;
    if (std::string problem = problem_of(entry.operation, entry.inside); !problem.empty()) return problem;
  }
  for (Background& entry : background_) try {
      const auto operation = ask(*entry.collectives);
      const std::uint64_t number = operation ? operation->number : 0;
      entry.inside = operation && entry.number == number ? entry.inside + tick : Seconds(0);
      entry.number = number;
      if (!operation) continue;
      if (std::string problem = problem_of(operation->name, entry.inside); !problem.empty()) return problem;
    } catch (const std::exception& error) {
      return error.what();
    }
  return {};
}

// CUDA and NCCL may keep whoever asks waiting, where another thread that waits for a GPU holds their locks;
// and this thread would not come to see how long.
std::optional<BackgroundCollectives::Operation> Watchdog::ask(BackgroundCollectives& collectives) {
  std::optional<Inside> asking;
  if (overseer_) asking.emplace(*overseer_, "the GPU");
  return collectives.under_way();
}

// A watchdog like this one, with nothing in the background.
void Watchdog::oversee() {
  if (background_.empty() || limit_ == Seconds(0)) return;
  overseer_ = std::make_unique<Watchdog>(end_job_, grace_, [](const char* asked, double seconds) {
    return fmt::format(
        "no answer from {} for {:.0f} s, as where it waits for a rank that is dead or stopped; the job ends "
        "(parallel.timeout_seconds)",
        asked, seconds);
  });
  overseer_->set_last_word(last_word_);
  overseer_->start(std::chrono::duration_cast<std::chrono::milliseconds>(limit_));
}

// Holds the lock to the end, so that no other thread leaves a collective with half its result. The last word
// comes before the end of collectives in the background: other ranks fail for that, and would say so first.
void Watchdog::end(const std::string& problem) {
  std::thread([grace = grace_] {
    std::this_thread::sleep_for(grace);
    std::_Exit(exit_failed);
  }).detach();
  log_error(problem);
  if (last_word_) last_word_(problem);
  for (const Background& entry : background_) entry.collectives->abandon();
  end_job_();
}

}  // namespace cola
