#include "apps/bench/checkpoint.h"

#include "core/log.h"
#include "core/text.h"
#include "train/benchmarks/checkpoint_benchmark.h"

namespace cola {

void bench_checkpoint(const RunConfiguration& configuration, Device& device, Communicator& communicator,
                      int rounds, std::int64_t micro_batches) {
  const CheckpointBenchmark result =
      benchmark_checkpoint(configuration, device, communicator, rounds, micro_batches);
  const auto row = [&](const char* name, double seconds) {
    information("{:<42} {:>10.3f} s {:>12}/s", name, seconds, format_bytes(result.bytes / seconds));
  };
  const auto ratio = [](const char* name, double value, const char* aim) {
    information("{:<42} {:>10.3f}   {}", name, value, aim);
  };
  information("a checkpoint of {} in {}, medians of {} rounds", format_bytes(result.bytes),
              configuration.run.dir, rounds);
  row("plain write and fsync", result.plain_write_seconds);
  row("synchronous save", result.synchronous_seconds);
  row("save beside training", result.background_seconds);
  row("plain read", result.plain_read_seconds);
  row("load", result.load_seconds);
  row("verify", result.verify_seconds);
  information("{:<42} {:>10.3f} s", "processor time of a save", result.processor_seconds);
  information("{:<42} {:>10.3f} s", "training waits for a save beside it", result.blocked_seconds);
  information("{:<42} {:>10.3f} s", "a training step alone", result.step_seconds);
  information("{:<42} {:>10.3f} s", "training loses by a save beside it", result.lost_seconds);
  ratio("blocked / synchronous save", result.blocked_seconds / result.synchronous_seconds,
        "aim: at most 0.05");
  ratio("lost / ten times the save beside training", result.lost_seconds / (10 * result.background_seconds),
        "aim: at most 0.03");
  ratio("write rate / plain write's", result.plain_write_seconds / result.synchronous_seconds,
        "aim: at least 0.8");
  ratio("load rate / plain read's", result.plain_read_seconds / result.load_seconds, "aim: at least 0.8");
}

}  // namespace cola
