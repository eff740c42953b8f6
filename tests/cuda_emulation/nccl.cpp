// NCCL, emulated: ranks are threads or processes of this machine, each with an emulated GPU of its own. A
// collective waits in its stream, and holds up what comes after, until every rank's stream has come to it.
#include <nccl.h>

#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "emulated_gpu.h"
#include "emulation_error.h"
#include "nccl_exchange.h"

using cola::emulation::CollectiveKind;
using cola::emulation::EmulatedGpu;
using cola::emulation::EmulationError;
using cola::emulation::NcclExchange;

struct ncclComm {
  std::shared_ptr<NcclExchange> exchange;
  std::uint64_t started = 0;
};

namespace {

EmulatedGpu& gpu() {
  return EmulatedGpu::instance();
}

thread_local std::string last_error;

ncclResult_t fail(ncclResult_t result, std::string explanation) {
  last_error = std::move(explanation);
  return result;
}

using Contributions = std::vector<std::vector<std::byte>>;

std::vector<float> sum_of(const Contributions& contributions) {
  std::vector<float> sum(contributions.front().size() / sizeof(float), 0.0f);
  for (const auto& contribution : contributions) {
    const auto* values = reinterpret_cast<const float*>(contribution.data());
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += values[i];
  }
  return sum;
}

// `finish` gets every rank's contribution, in rank order, when all are there.
template <typename Finish>
ncclResult_t start(const char* name, const void* from, std::size_t bytes, const void* to,
                   std::size_t result_bytes, ncclComm_t communicator, cudaStream_t handle, Finish finish) {
  const std::lock_guard lock(gpu().mutex());
  if (!gpu().memory().holds(from, bytes) || !gpu().memory().holds(to, result_bytes))
    return fail(ncclInvalidArgument, "what a collective reads or writes is not device memory");
  const auto stream = gpu().stream(handle);
  if (stream->capturing()) return fail(ncclInvalidUsage, "recorded collectives are not emulated");

  const auto exchange = communicator->exchange;
  const std::uint64_t number = communicator->started++;
  CollectiveKind kind{{}, bytes};
  std::strncpy(kind.name, name, sizeof kind.name - 1);
  const auto contribute = [=] {
    if (exchange->aborted()) return;
    std::vector<std::byte> copy(bytes);  // device memory opens to this thread, not to the system's calls
    std::memcpy(copy.data(), from, bytes);
    exchange->contribute(number, kind, copy.data());
  };
  const auto may_start = [=] { return exchange->aborted() || exchange->complete(number); };
  const auto work = [=] {
    if (exchange->aborted()) return;
    Contributions contributions;
    for (int rank = 0; rank < exchange->ranks(); ++rank)
      contributions.push_back(exchange->contribution(number, rank, kind));
    finish(contributions);
    exchange->forget_before(number);
  };
  stream->push({contribute, {}});
  stream->push({work, {}, may_start});
  return ncclSuccess;
}

}  // namespace

extern "C" {

ncclResult_t ncclGetVersion(int* version) {
  *version = NCCL_VERSION_CODE;
  return ncclSuccess;
}
const char* ncclGetErrorString(ncclResult_t result) {
  switch (result) {
    case ncclSuccess:
      return "no error";
    case ncclInvalidArgument:
      return "invalid argument";
    case ncclRemoteError:
      return "remote process exited or there was a network error";
    default:
      return "an error of the emulated NCCL";
  }
}
const char* ncclGetLastError(ncclComm_t) {
  return last_error.c_str();
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  *id = {};
  try {
    const std::string folder = NcclExchange::make_folder();
    if (folder.size() >= sizeof id->internal) return fail(ncclSystemError, folder + " is too long a path");
    std::strcpy(id->internal, folder.c_str());
  } catch (const EmulationError& error) {
    return fail(ncclSystemError, error.what());
  }
  return ncclSuccess;
}
ncclResult_t ncclCommInitRank(ncclComm_t* communicator, int ranks, ncclUniqueId id, int rank) {
  if (rank < 0 || rank >= ranks) return fail(ncclInvalidArgument, "no such rank");
  *communicator = new ncclComm{std::make_shared<NcclExchange>(id.internal, rank, ranks)};
  return ncclSuccess;
}
ncclResult_t ncclCommDestroy(ncclComm_t communicator) {
  delete communicator;
  return ncclSuccess;
}
ncclResult_t ncclCommAbort(ncclComm_t communicator) {
  communicator->exchange->abort();
  return ncclCommDestroy(communicator);
}
ncclResult_t ncclCommGetAsyncError(ncclComm_t communicator, ncclResult_t* error) {
  *error = communicator->exchange->aborted_by_another() ? ncclRemoteError : ncclSuccess;
  return ncclSuccess;
}

ncclResult_t ncclAllReduce(const void* from, void* to, std::size_t count, ncclDataType_t type,
                           ncclRedOp_t operation, ncclComm_t communicator, cudaStream_t stream) {
  if (type != ncclFloat || operation != ncclSum)
    return fail(ncclInvalidArgument, "only sums of fp32 are emulated");
  const std::size_t bytes = count * sizeof(float);
  return start(
      "all-reduce", from, bytes, to, bytes, communicator, stream,
      [=](const Contributions& contributions) { std::memcpy(to, sum_of(contributions).data(), bytes); });
}
ncclResult_t ncclReduceScatter(const void* from, void* to, std::size_t count, ncclDataType_t type,
                               ncclRedOp_t operation, ncclComm_t communicator, cudaStream_t stream) {
  if (type != ncclFloat || operation != ncclSum)
    return fail(ncclInvalidArgument, "only sums of fp32 are emulated");
  const auto rank = static_cast<std::size_t>(communicator->exchange->rank());
  const auto ranks = static_cast<std::size_t>(communicator->exchange->ranks());
  const std::size_t bytes = count * sizeof(float);
  return start("reduce-scatter", from, ranks * bytes, to, bytes, communicator, stream,
               [=](const Contributions& contributions) {
                 std::memcpy(to, sum_of(contributions).data() + rank * count, bytes);
               });
}
ncclResult_t ncclAllGather(const void* from, void* to, std::size_t count, ncclDataType_t type,
                           ncclComm_t communicator, cudaStream_t stream) {
  if (type != ncclChar) return fail(ncclInvalidArgument, "only bytes are gathered");
  const auto ranks = static_cast<std::size_t>(communicator->exchange->ranks());
  return start("all-gather", from, count, to, ranks * count, communicator, stream,
               [=](const Contributions& contributions) {
                 for (std::size_t rank = 0; rank < contributions.size(); ++rank)
                   std::memcpy(static_cast<std::byte*>(to) + rank * count, contributions[rank].data(), count);
               });
}

}  // extern "C"
