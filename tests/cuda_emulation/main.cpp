// Runs a test program's tests on the emulated GPU; a test that fails says how its orders can be had again.
#include <gtest/gtest.h>

#include <iostream>

#include "emulated_gpu.h"

namespace {

class SeedOfFailure final : public ::testing::EmptyTestEventListener {
  void OnTestEnd(const ::testing::TestInfo& test) override {
    if (test.result()->Failed())
      std::cout << "COLA_EMULATION_SEED=" << cola::emulation::EmulatedGpu::instance().seed() << std::endl;
  }
};

}  // namespace

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  ::testing::UnitTest::GetInstance()->listeners().Append(new SeedOfFailure);
  return RUN_ALL_TESTS();
}
