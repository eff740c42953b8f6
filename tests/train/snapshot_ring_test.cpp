#include "train/checkpoints/snapshot_ring.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <numeric>
#include <random>
#include <thread>
#include <vector>

#include "core/buffer.h"
#include "core/error.h"

namespace cola {
namespace {

class SnapshotRingTest : public testing::Test {
 protected:
  // Three tensors of `elements`, numbered through from `first`.
  void fill(float first) {
    std::span<float> values = state_.tensor(DataType::float32, 3 * elements).span<float>();
    std::iota(values.begin(), values.end(), first);
  }
  std::vector<Tensor> tensors() const {
    const Tensor whole = state_.tensor(DataType::float32, 3 * elements);
    return {whole.view(0, {elements}), whole.view(elements, {elements}),
            whole.view(2 * elements, {elements})};
  }
  // What a writer finds that takes up to `delay` microseconds for each piece.
  static void drain(SnapshotRing& ring, int delay, std::vector<float>& found) {
    std::mt19937 engine(7);
    for (auto values = ring.take(); !values.empty(); values = ring.take()) {
      if (delay > 0) std::this_thread::sleep_for(std::chrono::microseconds(engine() % delay));
      found.insert(found.end(), values.begin(), values.end());
      ring.give_back();
    }
  }

  static constexpr std::int64_t elements = 100000;
  std::unique_ptr<Device> device_ = make_cpu_device(1);
  Buffer state_{*device_, 3 * elements * sizeof(float)};
};

TEST_F(SnapshotRingTest, HandsOverTheStateAsItWasWhateverTheRingsSize) {
  for (const RingLayout layout :
       {RingLayout{2, 1024}, RingLayout{3, 7168}, RingLayout{18, 17408}, RingLayout{1, 1024}}) {
    SnapshotRing ring(*device_, layout);
    for (const int delay : {0, 300}) {
      fill(5.0f);
      std::vector<float> found, wanted(3 * elements);
      std::iota(wanted.begin(), wanted.end(), 5.0f);
      ring.start(tensors());
      std::jthread writer([&] { drain(ring, delay, found); });
      ring.advance();
      ring.finish();
      fill(-1e6f);  // the optimizer's update
      writer.join();
      EXPECT_TRUE(found == wanted) << layout.slots << " slots of " << layout.slot_elements;
    }
  }
}

TEST_F(SnapshotRingTest, FreesTrainingWhenTheWriterGivesUp) {
  SnapshotRing ring(*device_, {2, 1024});
  ring.start(tensors());
  std::jthread writer([&] {
    EXPECT_EQ(ring.take().size(), 1024u);
    ring.give_back();
    ring.abandon();
    EXPECT_TRUE(ring.take().empty());
  });
  ring.finish();
  writer.join();
  std::vector<float> found;
  fill(1.0f);
  ring.start(tensors());  // and the next one is whole again
  std::jthread next([&] { drain(ring, 0, found); });
  ring.finish();
  next.join();
  EXPECT_EQ(found.size(), 3u * elements);
  EXPECT_EQ(found.back(), 3.0f * elements);
}

TEST(RingLayout, HoldsTheWholeStateUnlessToldOtherwise) {
  for (const std::int64_t shard : {64, 1000, 1024, 1000000, 50000000}) {
    const RingLayout whole = ring_layout({}, shard);
    EXPECT_GE(whole.bytes(), 3u * static_cast<std::size_t>(shard) * sizeof(float));
    EXPECT_LE(whole.slots, 18);
    EXPECT_EQ(ring_layout({.ring_gib = 1000}, shard).bytes(), whole.bytes());
  }
}

TEST(RingLayout, StaysWithinWhatItIsGivenAndRefusesWhatIsOfNoUse) {
  const std::int64_t shard = 50000000;  // 572 MiB
  for (const double gibibytes : {0.016, 0.1, 0.4}) {
    const RingLayout layout = ring_layout({.ring_gib = gibibytes}, shard);
    EXPECT_LE(static_cast<double>(layout.bytes()), gibibytes * 1024 * 1024 * 1024);
    EXPECT_GE(layout.slots, 4);
  }
  EXPECT_LT(ring_layout({.async = false}, shard).bytes(), std::size_t{65} << 20);
  try {
    ring_layout({.ring_gib = 0.01}, shard);
    FAIL() << "too small a ring was accepted";
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("checkpoint.ring_gib"), std::string::npos) << error.what();
  }
}

// On the host, where it is measured: copies that a GPU alone was told to wait for would still be under way.
TEST(SnapshotRing, IsFinishedWhenNoCopyIsUnderWay_cuda) {
  if (cuda_device_count() == 0) GTEST_SKIP() << "no GPU on this machine";
  const std::unique_ptr<Device> gpu = make_cuda_device(0);
  constexpr std::int64_t elements = std::int64_t{1} << 28;  // 1 GiB: 2 ms at the very least
  const Buffer state(*gpu, elements * sizeof(float));
  SnapshotRing ring(*gpu, {1, elements});
  gpu->synchronize();
  ring.start({state.tensor(DataType::float32, elements)});
  ring.finish();
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(ring.take().size(), static_cast<std::size_t>(elements));  // waits for its copy
  EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(), 0.001);
}

}  // namespace
}  // namespace cola
