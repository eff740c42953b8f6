#include "train/benchmarks/checkpoint_benchmark.h"

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <functional>
#include <span>
#include <vector>

#include "core/error.h"
#include "io/checkpoints/checkpoint_directory.h"
#include "io/files/durable_file.h"
#include "train/benchmarks/benchmark_model.h"
#include "train/benchmarks/median.h"
#include "train/checkpoints/checkpointer.h"
#include "train/checkpoints/load_checkpoint.h"
#include "train/checkpoints/training_state.h"

namespace cola {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t block_bytes = std::size_t{4} << 20;

double seconds_of(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

// Of all threads of this process so far.
double processor_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
}

class Measurement {
 public:
  Measurement(const RunConfiguration& configuration, Device& device, Communicator& communicator, int rounds,
              std::int64_t micro_batches)
      : configuration_(in_own_folder(configuration)),
        device_(device),
        communicator_(communicator),
        rounds_(rounds),
        micro_batches_(micro_batches),
        training_(configuration, device, communicator),
        checkpointer_(device, communicator, training_.table(), training_.store(), configuration_) {
    remove_folder();  // of a benchmark that was ended
    if (communicator.rank() == 0) std::filesystem::create_directories(checkpoints_of(configuration_));
    communicator.barrier();
    for (int warm_up = 0; warm_up < 2; ++warm_up) training_.step(micro_batches_);
  }
  ~Measurement() { remove_folder(); }
  Measurement(const Measurement&) = delete;
  Measurement& operator=(const Measurement&) = delete;

  CheckpointBenchmark run() {
    std::vector<double> plain, synchronous, processor, read, load, verify;
    for (int round = 0; round < rounds_; ++round) {
      plain.push_back(seconds_of([&] { write_plainly(); }));
      const double before = processor_seconds();
      synchronous.push_back(seconds_of([&] { save(); }));
      processor.push_back(largest(processor_seconds() - before));
      forget_cached();
      read.push_back(seconds_of([&] { read_plainly(); }));
      forget_cached();
      verify.push_back(
          seconds_of([&] { verify_checkpoint(newest_, communicator_.rank(), communicator_.size()); }));
      forget_cached();
      load.push_back(
          seconds_of([&] { load_checkpoint(newest_, communicator_, device_, training_.store()); }));
    }
    result_.bytes = static_cast<double>(read_manifest(newest_).total_bytes());
    result_.plain_write_seconds = median(plain);
    result_.synchronous_seconds = median(synchronous);
    result_.processor_seconds = median(processor);
    result_.plain_read_seconds = median(read);
    result_.load_seconds = median(load);
    result_.verify_seconds = median(verify);
    save_beside_training();
    return result_;
  }

 private:
  // A run's own checkpoints are never touched.
  static RunConfiguration in_own_folder(RunConfiguration configuration) {
    configuration.run.dir += "/checkpoint-benchmark";
    return configuration;
  }
  void remove_folder() const {
    std::error_code ignored;
    if (communicator_.rank() == 0) std::filesystem::remove_all(configuration_.run.dir, ignored);
  }

  // Of the slowest rank.
  double seconds_of(const std::function<void()>& body) {
    communicator_.barrier();
    const auto start = Clock::now();
    body();
    device_.synchronize();
    communicator_.barrier();
    return std::chrono::duration<double>(Clock::now() - start).count();
  }

  double largest(double seconds) {
    std::array<std::int64_t, 1> nanoseconds{static_cast<std::int64_t>(seconds * 1e9)};
    communicator_.all_reduce_maximum(nanoseconds);
    return static_cast<double>(nanoseconds[0]) * 1e-9;
  }

  std::string own_shard() const {
    return newest_ + "/" + shard_name(std::min(communicator_.rank(), training_shards() - 1));
  }
  int training_shards() const { return static_cast<int>(read_manifest(newest_).shards.size()); }

  void write_plainly() {
    const ShardMap& map = training_.store().shard_map();
    if (communicator_.rank() >= map.shards()) return;
    const std::vector<std::byte> block(block_bytes, std::byte{0x5a});
    const auto bytes =
        map.shard_elements() * static_cast<std::int64_t>(all_state_tensors.size() * sizeof(float));
    TemporaryFile temporary(fmt::format("{}/plain-{}", configuration_.run.dir, communicator_.rank()));
    FileDescriptor file = FileDescriptor::create(temporary.temporary_path());
    for (std::int64_t offset = 0; offset < bytes; offset += static_cast<std::int64_t>(block.size()))
      file.write_at(offset, std::span(block).first(static_cast<std::size_t>(std::min<std::int64_t>(
                                bytes - offset, static_cast<std::int64_t>(block_bytes)))));
    file.synchronize();
  }

  void read_plainly() const {
    FileDescriptor::open_to_read(own_shard()).for_each_block([](std::int64_t, std::span<const std::byte>) {});
  }

  void forget_cached() const {
    FileDescriptor::open_to_read(own_shard()).forget_cached();
    communicator_.barrier();
  }

  void require_saved(const SaveOutcome& outcome) {
    if (!outcome.error.empty()) throw Error("the checkpoint failed: {}", outcome.error);
    newest_ = checkpoints_of(configuration_) + "/" + checkpoint_name(outcome.step);
  }

  void save() {
    checkpointer_.start({++saves_, 0, 0});
    require_saved(*checkpointer_.wait());
  }

  // Rounds in pairs, first without and then with a save beside the steps, so that both meet the same machine.
  void save_beside_training() {
    std::vector<double> step, blocked, background, lost;
    const auto alone = static_cast<std::int64_t>(std::max(
        3.0,
        largest(result_.synchronous_seconds) / largest(seconds_of([&] { training_.step(micro_batches_); }))));
    for (int round = 0; round < rounds_; ++round) {
      step.push_back(seconds_of([&] {
                       for (std::int64_t i = 0; i < alone; ++i) training_.step(micro_batches_);
                     }) /
                     static_cast<double>(alone));
      checkpointer_.take_blocked_seconds();
      std::int64_t steps = 0;
      const double seconds = seconds_of([&] { steps = train_while_saving(background); });
      blocked.push_back(largest(checkpointer_.take_blocked_seconds()));
      const double after = seconds_of([&] {
                             for (std::int64_t i = 0; i < alone; ++i) training_.step(micro_batches_);
                           }) /
                           static_cast<double>(alone);
      lost.push_back(seconds - static_cast<double>(steps) * (step.back() + after) / 2);
    }
    result_.step_seconds = median(step);
    result_.blocked_seconds = median(blocked);
    result_.background_seconds = median(background);
    result_.lost_seconds = median(lost);
  }

  // Steps until the save that begins here is committed, as the trainer takes them; returns their number.
  std::int64_t train_while_saving(std::vector<double>& background) {
    checkpointer_.start({++saves_, 0, 0});
    for (std::int64_t steps = 1;; ++steps) {
      training_.step(
          micro_batches_, [&] { checkpointer_.advance(); }, [&] { checkpointer_.finish_snapshot(); });
      std::array<std::int64_t, 1> busy{checkpointer_.busy() ? 1 : 0};
      communicator_.all_reduce_maximum(busy);
      if (busy[0] != 0) continue;
      if (const auto outcome = checkpointer_.proceed()) {
        require_saved(*outcome);
        background.push_back(outcome->seconds);
        return steps;
      }
    }
  }

  RunConfiguration configuration_;
  Device& device_;
  Communicator& communicator_;
  int rounds_;
  std::int64_t micro_batches_;
  BenchmarkModel training_;
  Checkpointer checkpointer_;
  CheckpointBenchmark result_;
  std::int64_t saves_ = 0;
  std::string newest_;
};

}  // namespace

CheckpointBenchmark benchmark_checkpoint(const RunConfiguration& configuration, Device& device,
                                         Communicator& communicator, int rounds, std::int64_t micro_batches) {
  return Measurement(configuration, device, communicator, rounds, micro_batches).run();
}

}  // namespace cola
