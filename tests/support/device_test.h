// DeviceTest: a test that runs on every device (its name ends in /cpu or /cuda), skipped where there is none.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "core/device.h"

namespace cola {

class DeviceTest : public ::testing::TestWithParam<DeviceKind> {
 protected:
  void SetUp() override {
    if (GetParam() == DeviceKind::cpu)
      device_ = make_cpu_device(threads());
    else if (cuda_device_count() > 0)
      device_ = make_cuda_device(0);
    else
      GTEST_SKIP() << "no CUDA device on this machine";
  }

  Device& device() const { return *device_; }

 private:
  // All cores, unless OMP_NUM_THREADS says otherwise: under the thread sanitizer OpenMP gets one.
  static int threads() {
    const char* chosen = std::getenv("OMP_NUM_THREADS");
    return chosen ? std::atoi(chosen) : 0;
  }

  std::unique_ptr<Device> device_;
};

inline auto every_device() {
  return ::testing::Values(DeviceKind::cpu, DeviceKind::cuda);
}

inline std::string device_label(const ::testing::TestParamInfo<DeviceKind>& information) {
  return information.param == DeviceKind::cpu ? "cpu" : "cuda";
}

}  // namespace cola
