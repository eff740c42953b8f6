#include "dist/mpi_communicator.h"

#include <mpi.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <numeric>
#include <utility>

#include "core/error.h"
#include "dist/even_chunk.h"
#include "dist/mpi_library.h"

namespace cola {

namespace {

/// Requests of one collective, which may have been cut into pieces.
class PendingMpi final : public PendingCollective {
 public:
  explicit PendingMpi(const char* operation) : operation_(operation) {}
  PendingMpi(const PendingMpi&) = delete;
  PendingMpi& operator=(const PendingMpi&) = delete;
  ~PendingMpi() override {
    if (!requests_.empty())
      MPI_Waitall(static_cast<int>(requests_.size()), requests_.data(), MPI_STATUSES_IGNORE);
  }

  /// A place for the request of the next piece. The result of the call that fills it goes to started().
  MPI_Request* next() { return &requests_.emplace_back(MPI_REQUEST_NULL); }
  void started(int result) const { check_mpi(result, operation_); }

  void wait() override {
    check_mpi(MPI_Waitall(static_cast<int>(requests_.size()), requests_.data(), MPI_STATUSES_IGNORE),
              operation_);
    requests_.clear();
  }

  bool progress() override {
    int all_done = 0;
    check_mpi(
        MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &all_done, MPI_STATUSES_IGNORE),
        operation_);
    if (all_done) requests_.clear();
    return all_done;
  }

 private:
  const char* operation_;
  std::vector<MPI_Request> requests_;
};

class MpiCommunicator final : public Communicator {
 public:
  /// Takes over `handle`.
  MpiCommunicator(MPI_Comm handle, std::int64_t count_limit) : handle_(handle), count_limit_(count_limit) {
    check_mpi(MPI_Comm_set_errhandler(handle_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    check_mpi(MPI_Comm_rank(handle_, &rank_), "MPI_Comm_rank");
    check_mpi(MPI_Comm_size(handle_, &size_), "MPI_Comm_size");
  }
  MpiCommunicator(const MpiCommunicator&) = delete;
  MpiCommunicator& operator=(const MpiCommunicator&) = delete;

  // Freeing is collective: a rank that unwinds from an error must not wait for the others here.
  ~MpiCommunicator() override {
    int finalized = 0;
    MPI_Finalized(&finalized);
    if (!finalized && std::uncaught_exceptions() == 0) MPI_Comm_free(&handle_);
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  std::string transport() const override { return "MPI (" + describe_mpi() + ")"; }

  void all_reduce(std::span<double> values) override { all_reduce(values, MPI_DOUBLE, MPI_SUM); }
  void all_reduce_maximum(std::span<std::int64_t> values) override {
    all_reduce(values, MPI_INT64_T, MPI_MAX);
  }

  void broadcast(std::span<std::byte> bytes, int root) override {
    for_each_piece(bytes.size(), [&](std::size_t begin, int count) {
      check_mpi(MPI_Bcast(bytes.data() + begin, count, MPI_BYTE, root, handle_), "MPI_Bcast");
    });
  }

  std::vector<std::string> all_gather(const std::string& text) override;

  void barrier() override { check_mpi(MPI_Barrier(handle_), "MPI_Barrier"); }

  std::unique_ptr<PendingCollective> start_reduce_scatter(std::span<float> values,
                                                          std::span<float> sum) override;
  std::unique_ptr<PendingCollective> start_all_reduce(std::span<float> values) override;
  std::unique_ptr<PendingCollective> start_all_gather(std::span<std::byte> bytes) override;

  std::unique_ptr<Communicator> split(int color) override {
    MPI_Comm part = MPI_COMM_NULL;
    check_mpi(MPI_Comm_split(handle_, color, rank_, &part), "MPI_Comm_split");
    return std::make_unique<MpiCommunicator>(part, count_limit_);
  }

  [[noreturn]] void abort(int exit_code) override { abort_mpi_job(exit_code); }

 private:
  template <typename T>
  void all_reduce(std::span<T> values, MPI_Datatype type, MPI_Op operation) {
    for_each_piece(values.size(), [&](std::size_t begin, int count) {
      check_mpi(MPI_Allreduce(MPI_IN_PLACE, values.data() + begin, count, type, operation, handle_),
                "MPI_Allreduce");
    });
  }

  void for_each_piece(std::size_t elements, const std::function<void(std::size_t, int)>& body) const {
    const auto limit = static_cast<std::size_t>(count_limit_);
    for (std::size_t begin = 0; begin < elements; begin += limit)
      body(begin, static_cast<int>(std::min(limit, elements - begin)));
  }

  bool fits_one_call(std::size_t elements) const {
    return elements <= static_cast<std::size_t>(count_limit_);
  }

  MPI_Comm handle_;
  std::int64_t count_limit_;
  int rank_ = 0;
  int size_ = 1;
};

std::vector<std::string> MpiCommunicator::all_gather(const std::string& text) {
  std::vector<std::int64_t> lengths(static_cast<std::size_t>(size_));
  const auto own_length = static_cast<std::int64_t>(text.size());
  check_mpi(MPI_Allgather(&own_length, 1, MPI_INT64_T, lengths.data(), 1, MPI_INT64_T, handle_),
            "MPI_Allgather");
  std::vector<std::string> texts(lengths.size());
  for (int rank = 0; rank < size_; ++rank) {
    std::string& received = texts[static_cast<std::size_t>(rank)];
    if (rank == rank_) received = text;
    received.resize(static_cast<std::size_t>(lengths[static_cast<std::size_t>(rank)]));
  }
  if (!fits_one_call(
          static_cast<std::size_t>(std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0})))) {
    for (int rank = 0; rank < size_; ++rank)
      broadcast(std::as_writable_bytes(std::span(texts[static_cast<std::size_t>(rank)])), rank);
    return texts;
  }
  std::vector<int> counts(lengths.begin(), lengths.end()), offsets(lengths.size(), 0);
  std::partial_sum(counts.begin(), counts.end() - 1, offsets.begin() + 1);
  std::string joined(static_cast<std::size_t>(offsets.back() + counts.back()), '\0');
  check_mpi(MPI_Allgatherv(text.data(), counts[static_cast<std::size_t>(rank_)], MPI_CHAR, joined.data(),
                           counts.data(), offsets.data(), MPI_CHAR, handle_),
            "MPI_Allgatherv");
  for (std::size_t i = 0; i < texts.size(); ++i)
    texts[i] = joined.substr(static_cast<std::size_t>(offsets[i]), static_cast<std::size_t>(counts[i]));
  return texts;
}

std::unique_ptr<PendingCollective> MpiCommunicator::start_reduce_scatter(std::span<float> values,
                                                                         std::span<float> sum) {
  const std::size_t chunk = even_chunk(values.size(), size(), "a reduce-scatter");
  if (sum.size() != chunk)
    throw Error("a reduce-scatter of chunks of {} into {} elements", chunk, sum.size());
  auto pending = std::make_unique<PendingMpi>("the reduce-scatter of gradients");
  if (size_ == 1) {
    if (sum.data() != values.data()) std::copy(values.begin(), values.end(), sum.begin());
  } else if (fits_one_call(values.size())) {
    pending->started(MPI_Ireduce_scatter_block(values.data(), sum.data(), static_cast<int>(chunk), MPI_FLOAT,
                                               MPI_SUM, handle_, pending->next()));
  } else {
    for (int root = 0; root < size_; ++root)
      for_each_piece(chunk, [&](std::size_t begin, int count) {
        const float* source = values.data() + static_cast<std::size_t>(root) * chunk + begin;
        pending->started(MPI_Ireduce(source, sum.data() + begin, count, MPI_FLOAT, MPI_SUM, root, handle_,
                                     pending->next()));
      });
  }
  return pending;
}

std::unique_ptr<PendingCollective> MpiCommunicator::start_all_reduce(std::span<float> values) {
  auto pending = std::make_unique<PendingMpi>("the all-reduce of gradients");
  for_each_piece(values.size(), [&](std::size_t begin, int count) {
    pending->started(MPI_Iallreduce(MPI_IN_PLACE, values.data() + begin, count, MPI_FLOAT, MPI_SUM, handle_,
                                    pending->next()));
  });
  return pending;
}

std::unique_ptr<PendingCollective> MpiCommunicator::start_all_gather(std::span<std::byte> bytes) {
  const std::size_t chunk = even_chunk(bytes.size(), size(), "an all-gather");
  auto pending = std::make_unique<PendingMpi>("the all-gather of weights");
  if (fits_one_call(bytes.size())) {
    pending->started(MPI_Iallgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, bytes.data(), static_cast<int>(chunk),
                                    MPI_BYTE, handle_, pending->next()));
    return pending;
  }
  for (int root = 0; root < size_; ++root)
    for_each_piece(chunk, [&](std::size_t begin, int count) {
      std::byte* piece = bytes.data() + static_cast<std::size_t>(root) * chunk + begin;
      pending->started(MPI_Ibcast(piece, count, MPI_BYTE, root, handle_, pending->next()));
    });
  return pending;
}

}  // namespace

void abort_mpi_job(int exit_code) {
  std::fflush(nullptr);
  MPI_Abort(MPI_COMM_WORLD, exit_code);
  std::_Exit(exit_code);
}

void check_mpi(int result, const char* operation) {
  if (result == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = {};
  int length = 0;
  MPI_Error_string(result, text, &length);
  throw Error("{} failed: {}", operation, std::string(text, static_cast<std::size_t>(length)));
}

std::unique_ptr<Communicator> make_mpi_world(std::int64_t count_limit) {
  MPI_Comm world = MPI_COMM_NULL;
  check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &world), "MPI_Comm_dup");
  return std::make_unique<MpiCommunicator>(world, count_limit);
}

}  // namespace cola
