// Communicator: the few collectives that training needs, over MPI between processes or over memory between
// threads. Calls are collective: every rank makes the same ones in the same order. Results do not depend on
// timing: the same values on the same number of ranks give the same bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace cola {

/// A collective under way. Its buffers must stay untouched until wait() returns. Destroying it waits.
class PendingCollective {
 public:
  virtual ~PendingCollective() = default;
  virtual void wait() = 0;
  /// Lets the library make progress, and never waits for another rank. Whether all ranks have come, so that
  /// wait() will not wait for them either.
  virtual bool progress() = 0;
};

class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// For people: "MPI (Open MPI 4.1.4)" or "threads".
  virtual std::string transport() const = 0;
  /// Pinned host memory of this rank that tensors pass through.
  virtual std::size_t staging_bytes() const { return 0; }

  /// How long this rank's host has waited inside collectives so far, in seconds; 0 where nobody counts it.
  virtual double waited_seconds() const { return 0; }

  /// Sums over all ranks, in place.
  virtual void all_reduce(std::span<double> values) = 0;
  /// The largest over all ranks, in place.
  virtual void all_reduce_maximum(std::span<std::int64_t> values) = 0;

  virtual void broadcast(std::span<std::byte> bytes, int root) = 0;
  /// Every rank's text, in rank order, on every rank.
  virtual std::vector<std::string> all_gather(const std::string& text) = 0;
  virtual void barrier() = 0;

  // The three below work on the memory in which tensors lie: a transport says on which device. They follow
  // the kernels given to that device so far, and kernels given after wait() follow them.

  /// values.size() = size() * chunk; rank r's chunk [r * chunk, (r+1) * chunk) of the sum over ranks arrives
  /// in `sum`.
  virtual std::unique_ptr<PendingCollective> start_reduce_scatter(std::span<float> values,
                                                                  std::span<float> sum) = 0;
  virtual std::unique_ptr<PendingCollective> start_all_reduce(std::span<float> values) = 0;
  /// bytes.size() = size() * chunk bytes; every rank's own chunk is in place already, the others arrive.
  virtual std::unique_ptr<PendingCollective> start_all_gather(std::span<std::byte> bytes) = 0;

  /// Ranks of the same color form a new communicator, ordered by rank.
  virtual std::unique_ptr<Communicator> split(int color) = 0;

  /// Ends the whole job with this exit code, from any one rank.
  [[noreturn]] virtual void abort(int exit_code) = 0;
};

/// The one-rank communicator: needs no launcher.
std::unique_ptr<Communicator> make_self_communicator();

/// Runs `body` on `ranks` threads of this process, each with its own communicator: multi-rank logic without a
/// launcher. The first exception of any rank is thrown again here.
void run_on_threads(int ranks, const std::function<void(Communicator&)>& body);

}  // namespace cola
