#include "core/cpu/copy_thread.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <system_error>
#include <thread>
#include <vector>

namespace cola::cpu {
namespace {

// Buffers each of which is copied to the next: the last has the first one's bytes only if that is done in
// order.
class Chain {
 public:
  explicit Chain(int links)
      : buffers_(static_cast<std::size_t>(links) + 1, std::vector<unsigned char>(bytes)) {}

  std::vector<std::shared_ptr<PendingCopy>> start(CopyThread& thread, unsigned char value) {
    buffers_.front().assign(bytes, value);
    std::vector<std::shared_ptr<PendingCopy>> copies;
    for (std::size_t i = 1; i < buffers_.size(); ++i)
      copies.push_back(thread.start(buffers_[i].data(), buffers_[i - 1].data(), bytes));
    return copies;
  }
  bool ends_in(unsigned char value) const {
    return buffers_.back() == std::vector<unsigned char>(bytes, value);
  }

 private:
  static constexpr std::size_t bytes = std::size_t{1} << 18;
  std::vector<std::vector<unsigned char>> buffers_;
};

TEST(CopyThread, CopiesStartedAtOnceAreDoneInOrder) {
  CopyThread thread;
  Chain chain(40);
  for (const unsigned char value : {3, 200, 7}) {
    const auto copies = chain.start(thread, value);
    copies.back()->wait();
    for (const auto& copy : copies) EXPECT_TRUE(copy->done());
    EXPECT_TRUE(chain.ends_in(value));
  }
}

// As a writer waits for pieces of a snapshot while training waits for all of them.
TEST(CopyThread, OtherThreadsMayAskAndWaitForTheSameCopies) {
  CopyThread thread;
  Chain chain(40);
  for (int round = 0; round < 20; ++round) {
    const auto value = static_cast<unsigned char>(round + 1);
    const auto copies = chain.start(thread, value);
    std::jthread asking([&] {
      while (!copies.back()->done()) std::this_thread::yield();
      EXPECT_TRUE(chain.ends_in(value));
    });
    std::jthread writer([&] {
      for (const auto& copy : copies) copy->wait();
      EXPECT_TRUE(chain.ends_in(value));
    });
    for (const auto& copy : copies) copy->wait();
    EXPECT_TRUE(chain.ends_in(value));
  }
}

TEST(CopyThread, ACopyThatNobodyWantsIsWaitedForBeforeItsMemoryGoes) {
  for (int round = 0; round < 20; ++round) {
    CopyThread thread;
    Chain chain(5);
    chain.start(thread, 9);  // given up at once
    EXPECT_TRUE(chain.ends_in(9));
  }
  const CopyThread never_used;
}

// Exits with 0 if a copy is refused for want of a thread, whose stack would be larger than all memory.
[[noreturn]] void copy_without_room_for_a_thread() {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, std::size_t{1} << 47);
  pthread_setattr_default_np(&attributes);
  alarm(20);
  unsigned char from = 1, to = 0;
  try {
    CopyThread thread;
    thread.start(&to, &from, 1);
  } catch (const std::system_error&) {
    _exit(0);
  }
  _exit(1);
}

TEST(CopyThread, WithoutAThreadACopyIsAnErrorAndNoEndlessWait) {
  const pid_t child = fork();
  if (child == 0) copy_without_room_for_a_thread();
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace cola::cpu
