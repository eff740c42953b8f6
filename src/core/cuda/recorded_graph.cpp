#include "core/cuda/recorded_graph.h"

#include <exception>
#include <string>

#include "core/cuda/check.h"
#include "core/error.h"
#include "core/log.h"

namespace cola::cuda {

RecordedGraph::~RecordedGraph() {
  if (graph_) cudaGraphExecDestroy(graph_);
}

void RecordedGraph::run(const std::function<void()>& body) {
  const bool first = !warm_;
  warm_ = true;
  if (first || plain_) return body();
  if (!graph_ && !record(body)) return body();
  check(cudaGraphLaunch(graph_, stream_), "launching a recorded graph");
}

// Returns false, with the stream as it was, if the work cannot be recorded.
bool RecordedGraph::record(const std::function<void()>& body) {
  check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "beginning to record a graph");
  std::string problem;
  try {
    body();
  } catch (const std::exception& error) {  // one that has nothing to do with the recording will come again
    problem = error.what();
  }
  cudaGraph_t graph = nullptr;
  cudaError_t result = cudaStreamEndCapture(stream_, &graph);  // must be called in any case
  if (result == cudaSuccess && problem.empty()) result = cudaGraphInstantiate(&graph_, graph, 0);
  if (graph) cudaGraphDestroy(graph);
  if (problem.empty() && result != cudaSuccess) problem = cudaGetErrorString(result);
  if (problem.empty()) return true;
  cudaGetLastError();  // what the attempt left would surface at the next check
  warning("work could not be recorded as a CUDA graph and is launched kernel by kernel: {}", problem);
  plain_ = true;
  return false;
}

}  // namespace cola::cuda
