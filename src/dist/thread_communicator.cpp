// The communicator between threads of one process. Every collective is the same exchange: each rank deposits
// a copy of its values, and takes what it needs once all have come, adding in rank order. Simple before fast:
// it serves tests and single ranks; jobs of many ranks use MPI.
#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <map>
#include <mutex>
#include <numeric>
#include <thread>
#include <utility>

#include "core/error.h"
#include "dist/communicator.h"
#include "dist/even_chunk.h"

namespace cola {

namespace {

using Bytes = std::vector<std::byte>;

/// Thrown on ranks that wait for one that has failed.
struct OtherRankFailed {};

/// What all groups of a job share: the lock, and whether a rank has failed.
struct Job {
  std::mutex mutex;
  std::condition_variable changed;
  bool failed = false;
};

struct Group;

/// One collective of one group: complete when every rank has deposited.
struct Exchange {
  std::vector<Bytes> deposits;
  int deposited = 0;
  std::map<int, std::shared_ptr<Group>> parts;  // by color, for split
};

struct Group {
  Group(std::shared_ptr<Job> its_job, int ranks) : job(std::move(its_job)), size(ranks) {}

  std::shared_ptr<Job> job;
  int size;
  std::map<std::int64_t, std::shared_ptr<Exchange>> exchanges;  // those some rank has yet to enter, by number
};

void copy_bytes(void* destination, const Bytes& source, std::size_t offset, std::size_t count) {
  if (offset + count > source.size()) throw Error("ranks called a collective with different sizes");
  if (count > 0) std::memcpy(destination, source.data() + offset, count);
}

template <typename T>
std::vector<T> values_at(const Bytes& bytes, std::size_t first, std::size_t count) {
  std::vector<T> values(count);
  copy_bytes(values.data(), bytes, first * sizeof(T), count * sizeof(T));
  return values;
}

/// result[i] = deposit of rank 0, combined in rank order with the others'.
template <typename T, typename Combine>
void combine_deposits(const std::vector<Bytes>& deposits, std::size_t first, std::span<T> result,
                      Combine combine) {
  for (std::size_t rank = 0; rank < deposits.size(); ++rank) {
    const std::vector<T> values = values_at<T>(deposits[rank], first, result.size());
    if (rank == 0)
      std::copy(values.begin(), values.end(), result.begin());
    else
      std::transform(result.begin(), result.end(), values.begin(), result.begin(), combine);
  }
}

class PendingExchange final : public PendingCollective {
 public:
  using Finish = std::function<void(const std::vector<Bytes>&)>;

  PendingExchange(std::shared_ptr<Group> group, std::shared_ptr<Exchange> exchange, Finish finish)
      : group_(std::move(group)), exchange_(std::move(exchange)), finish_(std::move(finish)) {}
  PendingExchange(const PendingExchange&) = delete;
  PendingExchange& operator=(const PendingExchange&) = delete;

  ~PendingExchange() override {
    try {
      wait();
    } catch (...) {  // another rank failed; its error is what will be reported
    }
  }

  void wait() override {
    if (!exchange_) return;
    {
      std::unique_lock lock(group_->job->mutex);
      group_->job->changed.wait(lock,
                                [&] { return exchange_->deposited == group_->size || group_->job->failed; });
      if (exchange_->deposited < group_->size) throw OtherRankFailed();
    }
    const std::shared_ptr<Exchange> done = std::exchange(exchange_, nullptr);
    finish_(done->deposits);
  }

  bool progress() override {
    if (!exchange_) return true;
    const std::lock_guard lock(group_->job->mutex);
    return exchange_->deposited == group_->size;
  }

 private:
  std::shared_ptr<Group> group_;
  std::shared_ptr<Exchange> exchange_;
  Finish finish_;
};

class ThreadCommunicator final : public Communicator {
 public:
  ThreadCommunicator(std::shared_ptr<Group> group, int rank) : group_(std::move(group)), rank_(rank) {}

  int rank() const override { return rank_; }
  int size() const override { return group_->size; }
  std::string transport() const override { return group_->size == 1 ? "one rank" : "threads"; }

  void all_reduce(std::span<double> values) override { combine(values, std::plus<>()); }
  void all_reduce_maximum(std::span<std::int64_t> values) override {
    combine(values, [](std::int64_t a, std::int64_t b) { return std::max(a, b); });
  }

  void broadcast(std::span<std::byte> bytes, int root) override {
    const auto deposit = rank_ == root ? std::span<const std::byte>(bytes) : std::span<const std::byte>();
    run(deposit, [=](const std::vector<Bytes>& deposits) {
      copy_bytes(bytes.data(), deposits[static_cast<std::size_t>(root)], 0, bytes.size());
    });
  }

  std::vector<std::string> all_gather(const std::string& text) override {
    std::vector<std::string> texts;
    run(std::as_bytes(std::span(text)), [&](const std::vector<Bytes>& deposits) {
      for (const Bytes& bytes : deposits)
        texts.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    });
    return texts;
  }

  void barrier() override {
    run({}, [](const std::vector<Bytes>&) {});
  }

  std::unique_ptr<PendingCollective> start_reduce_scatter(std::span<float> values,
                                                          std::span<float> sum) override;
  std::unique_ptr<PendingCollective> start_all_reduce(std::span<float> values) override;
  std::unique_ptr<PendingCollective> start_all_gather(std::span<std::byte> bytes) override;
  std::unique_ptr<Communicator> split(int color) override;

  [[noreturn]] void abort(int exit_code) override {
    std::fflush(nullptr);
    std::_Exit(exit_code);
  }

 private:
  /// Deposits this rank's bytes in the group's next exchange; never blocks.
  std::shared_ptr<Exchange> enter(std::span<const std::byte> bytes);

  std::unique_ptr<PendingCollective> start(std::span<const std::byte> bytes, PendingExchange::Finish finish) {
    return std::make_unique<PendingExchange>(group_, enter(bytes), std::move(finish));
  }
  void run(std::span<const std::byte> bytes, PendingExchange::Finish finish) {
    start(bytes, std::move(finish))->wait();
  }

  template <typename T, typename Combine>
  void combine(std::span<T> values, Combine operation) {
    run(std::as_bytes(values),
        [=](const std::vector<Bytes>& deposits) { combine_deposits(deposits, 0, values, operation); });
  }

  std::shared_ptr<Group> group_;
  int rank_;
  std::int64_t next_exchange_ = 0;
};

std::shared_ptr<Exchange> ThreadCommunicator::enter(std::span<const std::byte> bytes) {
  Bytes copy(bytes.begin(), bytes.end());
  const std::lock_guard lock(group_->job->mutex);
  const std::int64_t number = next_exchange_++;
  std::shared_ptr<Exchange>& slot = group_->exchanges[number];
  if (!slot) {
    slot = std::make_shared<Exchange>();
    slot->deposits.resize(static_cast<std::size_t>(group_->size));
  }
  const std::shared_ptr<Exchange> exchange = slot;
  exchange->deposits[static_cast<std::size_t>(rank_)] = std::move(copy);
  if (++exchange->deposited == group_->size) {
    group_->exchanges.erase(number);
    group_->job->changed.notify_all();
  }
  return exchange;
}

std::unique_ptr<PendingCollective> ThreadCommunicator::start_reduce_scatter(std::span<float> values,
                                                                            std::span<float> sum) {
  const std::size_t chunk = even_chunk(values.size(), size(), "a reduce-scatter");
  if (sum.size() != chunk)
    throw Error("a reduce-scatter of chunks of {} into {} elements", chunk, sum.size());
  const std::size_t first = chunk * static_cast<std::size_t>(rank_);
  return start(std::as_bytes(values), [=](const std::vector<Bytes>& deposits) {
    combine_deposits(deposits, first, sum, std::plus<>());
  });
}

std::unique_ptr<PendingCollective> ThreadCommunicator::start_all_reduce(std::span<float> values) {
  return start(std::as_bytes(values), [=](const std::vector<Bytes>& deposits) {
    combine_deposits(deposits, 0, values, std::plus<>());
  });
}

std::unique_ptr<PendingCollective> ThreadCommunicator::start_all_gather(std::span<std::byte> bytes) {
  const std::size_t chunk = even_chunk(bytes.size(), size(), "an all-gather");
  return start(bytes.subspan(chunk * static_cast<std::size_t>(rank_), chunk),
               [=](const std::vector<Bytes>& deposits) {
                 for (std::size_t rank = 0; rank < deposits.size(); ++rank)
                   copy_bytes(bytes.data() + rank * chunk, deposits[rank], 0, chunk);
               });
}

std::unique_ptr<Communicator> ThreadCommunicator::split(int color) {
  const std::shared_ptr<Exchange> exchange = enter(std::as_bytes(std::span(&color, 1)));
  int members = 0, part_rank = 0;
  PendingExchange(group_, exchange, [&](const std::vector<Bytes>& deposits) {
    for (int rank = 0; rank < group_->size; ++rank) {
      if (values_at<int>(deposits[static_cast<std::size_t>(rank)], 0, 1)[0] != color) continue;
      if (rank == rank_) part_rank = members;
      ++members;
    }
  }).wait();
  const std::lock_guard lock(group_->job->mutex);
  std::shared_ptr<Group>& part = exchange->parts[color];
  if (!part) part = std::make_shared<Group>(group_->job, members);
  return std::make_unique<ThreadCommunicator>(part, part_rank);
}

}  // namespace

std::unique_ptr<Communicator> make_self_communicator() {
  return std::make_unique<ThreadCommunicator>(std::make_shared<Group>(std::make_shared<Job>(), 1), 0);
}

void run_on_threads(int ranks, const std::function<void(Communicator&)>& body) {
  const auto group = std::make_shared<Group>(std::make_shared<Job>(), ranks);
  std::exception_ptr first_error;
  const auto run_rank = [&](int rank) {
    std::exception_ptr error;
    try {
      ThreadCommunicator communicator(group, rank);
      body(communicator);
      return;
    } catch (const OtherRankFailed&) {
      return;
    } catch (...) {
      error = std::current_exception();
    }
    const std::lock_guard lock(group->job->mutex);
    if (!first_error) first_error = error;
    group->job->failed = true;
    group->job->changed.notify_all();
  };
  {
    std::vector<std::jthread> threads;
    for (int rank = 0; rank < ranks; ++rank) threads.emplace_back(run_rank, rank);
  }
  if (first_error) std::rethrow_exception(first_error);
}

}  // namespace cola
