// BlockRunner: runs the threads of one block after another as fibers on the calling thread. A fiber runs
// thread after thread to its end; only a thread that must wait keeps its fiber, and another takes over.
#pragma once

#include <boost/context/fiber.hpp>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "block.h"
#include "grid.h"
#include "shared_memory.h"

namespace cola::emulation {

class BlockRunner {
 public:
  explicit BlockRunner(std::uint64_t seed) : random_(seed) {}
  ~BlockRunner();

  /// Runs all blocks of the grid, in an order drawn anew. Throws EmulationError naming kernel, block and
  /// thread.
  void run(const Grid& grid);

  // What block.h declares, for the thread that runs now.
  void wait_for_block(const Site& site);
  void join_warp(const char* name, unsigned mask, WarpOperation operation, void* operand, const Site& site);
  SharedMemory& shared_memory() { return shared_memory_; }
  void start_copy(void* shared, const void* global, bool valid);
  void close_copy_group();
  void wait_for_copies(std::size_t newest);
  /// The kernel goes on; its run ends with this error. The first one counts.
  void remember_fault(const std::string& what);
  const std::string& fault() const { return fault_; }
  /// Kernel, block and thread, for messages.
  std::string describe_current() const;

 private:
  struct Fiber {
    boost::context::fiber own, scheduler;
  };
  struct Copy {
    void* shared;
    const void* global;
    bool valid;
  };
  struct Thread {
    Fiber* fiber = nullptr;                      // while it has begun and has not finished
    const char* waits_in = nullptr;              // what it waits in, if it does
    std::vector<std::vector<Copy>> copy_groups;  // the last one is open
  };
  struct Warp {
    unsigned arrived = 0;
    WarpOperation operation = nullptr;
    Site site;
    Operands operands;
  };

  void begin_grid(const Grid& grid);
  void run_block(const Grid& grid);
  void draw_order();
  void run_until_waiting(Fiber& fiber);
  bool may_start_another() const;
  void run_threads(Fiber& fiber);
  void become(std::uint32_t thread);
  void wait(const char* name);
  void release(std::uint32_t thread);
  Fiber& idle_fiber();
  void abandon_fibers();
  [[noreturn]] void throw_deadlock() const;

  std::mt19937_64 random_;
  SharedMemory shared_memory_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> idle_;

  const Grid* grid_ = nullptr;
  std::vector<uint3> indices_;  // of the threads
  std::vector<Thread> threads_;
  std::vector<Warp> warps_;
  std::vector<std::uint32_t> order_;  // in which threads start
  std::deque<std::uint32_t> ready_;   // threads that waited and need no longer
  std::uint32_t started_ = 0, finished_ = 0, current_ = 0;
  bool ready_first_ = false;  // rather go on with a thread than start one
  std::uint32_t at_barrier_ = 0;
  Site barrier_;
  std::string fault_;
  std::exception_ptr failure_;
};

}  // namespace cola::emulation
