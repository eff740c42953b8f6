#include "apps/bench/startup.h"

#include <array>
#include <cmath>
#include <memory>
#include <utility>

#include "apps/common/communicator_choice.h"
#include "apps/common/device_choice.h"
#include "core/log.h"
#include "dist/sharded_parameter_store.h"
#include "model/transformer.h"
#include "train/batch_loader.h"
#include "train/configuration/precision.h"
#include "train/configuration/run_configuration.h"
#include "train/configuration/transformer_options.h"
#include "train/peak_rate.h"
#include "train/token_data.h"

namespace cola {

namespace {

using Clock = std::chrono::steady_clock;

/// Times phases one after another; each begins when all ranks have ended the one before.
class PhaseTimer {
 public:
  PhaseTimer(Communicator& world, Clock::time_point begun) : world_(world), begun_(begun) {}

  /// Ends the phase that has been running.
  void end(const std::string& phase) {
    constexpr double microseconds = 1e6;
    const double seconds = std::chrono::duration<double>(Clock::now() - begun_).count();
    std::array<std::int64_t, 1> slowest{std::llround(seconds * microseconds)};
    world_.all_reduce_maximum(slowest);
    phases_.emplace_back(phase, static_cast<double>(slowest[0]) / microseconds);
    world_.barrier();
    begun_ = Clock::now();
  }

  void print() const {
    double sum = 0;
    for (const auto& [phase, seconds] : phases_) sum += seconds;
    for (const auto& [phase, seconds] : phases_)
      information("{:<44}{:>9.3f} s {:>5.1f} %", phase, seconds, 100 * seconds / sum);
    information("{:<44}{:>9.3f} s", "from main to the first step", sum);
  }

 private:
  Communicator& world_;
  Clock::time_point begun_;
  std::vector<std::pair<std::string, double>> phases_;
};

}  // namespace

void bench_startup(const std::string& configuration_file, const std::vector<std::string>& settings,
                   MpiSession& session, Clock::time_point begun) {
  Communicator& world = session.world();
  PhaseTimer timer(world, begun);
  timer.end("MPI started, launcher checked");
  const RunConfiguration configuration = load_run_configuration(configuration_file, settings);
  timer.end("configuration read");
  RankPlace place = place_rank(configuration, session);
  timer.end("topology read, rank bound");
  const auto device = make_device(configuration, place);
  timer.end("device made");
  const RunData data = open_run_data(configuration, world);
  const BatchLoader loader(data.training, configuration.run.seed, configuration.train.global_batch,
                           configuration.train.micro_batch, world.rank(), world.size());
  timer.end("token files opened");
  const DataType type = compute_type_of(configuration.train.precision, *device);
  const ParameterTable table(configuration.model);
  const Transformer model(*device, table, transformer_options(configuration, type, device->kind()));
  const auto communicator = make_training_communicator(configuration.parallel, *device, session);
  ShardedParameterStore store(*device, *communicator, table, {configuration.parallel.zero_stage, type});
  timer.end("memory allocated");
  store.initialize(configuration.run.seed);
  device->synchronize();
  timer.end("weights initialised and shared");
  measure_product_rate(*device, type, quick_product_size(device->kind()));
  timer.end("rate of plain products measured");
  information("{}, {} ranks on {} {}", configuration.run.name, world.size(), session.nodes(),
              session.nodes() == 1 ? "node" : "nodes");
  timer.print();
}

}  // namespace cola
