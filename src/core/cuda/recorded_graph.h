// RecordedGraph: work that is given to a stream again and again, recorded once as a CUDA graph and then
// launched as a whole.
#pragma once

#include <cuda_runtime_api.h>

#include <functional>

#include "core/device.h"

namespace cola::cuda {

class RecordedGraph final : public RepeatedWork {
 public:
  /// `stream` outlives the graph.
  explicit RecordedGraph(cudaStream_t stream) : stream_(stream) {}
  ~RecordedGraph() override;
  RecordedGraph(const RecordedGraph&) = delete;
  RecordedGraph& operator=(const RecordedGraph&) = delete;

  /// The first call runs `body` as it is, so that all it needs is loaded and chosen; the second records it;
  /// every later one launches the recording. A body that cannot be recorded is run as it is from then on,
  /// which is said once.
  void run(const std::function<void()>& body) override;

 private:
  bool record(const std::function<void()>& body);

  cudaStream_t stream_;
  bool warm_ = false, plain_ = false;
  cudaGraphExec_t graph_ = nullptr;
};

}  // namespace cola::cuda
