// Watchdog: ends a job in which ranks wait for one that is dead or stopped, instead of letting it hang until
// its time limit. Only time inside collectives counts: a rank may compute, evaluate or write files alone for
// as long as it likes.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace cola {

/// Collectives that go on beside the host's threads, as NCCL's do on a GPU. Asked by the watchdog's thread.
class BackgroundCollectives {
 public:
  struct Operation {
    const char* name;
    std::uint64_t number;  // no two operations have the same
  };

  virtual ~BackgroundCollectives() = default;
  /// The collective that waits for other ranks at this moment, if any. Throws Error if one has failed.
  virtual std::optional<Operation> under_way() = 0;
  /// Breaks off whatever is under way: the job is about to end.
  virtual void abandon() noexcept = 0;
};

class Watchdog {
 public:
  class Inside;

  /// What is said of an operation that takes too long.
  using Words = std::function<std::string(const char* operation, double seconds)>;

  /// `end_job` ends all ranks, this one included, from the watchdog's thread. A process that it does not end
  /// within `grace` ends itself, with exit_failed.
  explicit Watchdog(std::function<void()> end_job, std::chrono::seconds grace = std::chrono::seconds(10),
                    Words words = stuck_in);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  /// From here on a collective that takes longer than `limit` ends the job, and so does one that fails in the
  /// background, or does not let itself be asked for so long. 0: any time will do.
  void start(std::chrono::milliseconds limit);
  /// Looks no more until it is started again. What was entered keeps the time that was counted.
  void stop() { thread_ = {}; }

  /// Collectives to look at until they are removed.
  void add(BackgroundCollectives& collectives);
  void remove(BackgroundCollectives& collectives);

  /// What is to be done with the problem for which the job is about to end, from the watchdog's thread. It
  /// must not wait for long: the job's end waits for it.
  void set_last_word(std::function<void(const std::string& problem)> last_word);

  /// How long threads of this process have been inside collectives that have ended, in seconds.
  double seconds_inside() const;

 private:
  using Seconds = std::chrono::duration<double>;
  struct Entered {
    const char* operation;
    Seconds inside{0};
  };
  struct Background {
    BackgroundCollectives* collectives;
    std::uint64_t number = 0;  // of the operation that was under way last
    Seconds inside{0};
  };

  void watch(const std::stop_token& stop);
  std::string find_problem(Seconds tick);
  std::string problem_of(const char* operation, Seconds inside) const;
  static std::string stuck_in(const char* operation, double seconds);
  std::optional<BackgroundCollectives::Operation> ask(BackgroundCollectives& collectives);
  void oversee();
  void end(const std::string& problem);

  std::function<void()> end_job_;
  std::chrono::seconds grace_;
  Words words_;
  Seconds limit_{0};
  mutable std::mutex mutex_;  // of all that follows
  std::condition_variable_any wake_;
  std::function<void(const std::string&)> last_word_;
  Seconds all_inside_{0};
  std::list<Entered> entered_;
  std::vector<Background> background_;
  std::unique_ptr<Watchdog> overseer_;  // of the time in which collectives in the background are asked
  std::jthread thread_;
};

/// Marks the time from its making to its end as spent inside a collective, by any thread.
class Watchdog::Inside {
 public:
  Inside(Watchdog& watchdog, const char* operation);
  ~Inside();
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  Watchdog& watchdog_;
  std::list<Entered>::iterator entry_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

}  // namespace cola
