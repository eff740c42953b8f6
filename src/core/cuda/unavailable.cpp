// The CUDA device of a build without CUDA: there is none, and asking for it says so.
#include "core/device.h"
#include "core/error.h"
#include "core/gpu_facts.h"
#include "core/occupied_multiprocessors.h"

namespace cola {

std::unique_ptr<Device> make_cuda_device(int, const CudaOptions&) {
  throw DeviceError("this program was built without a CUDA backend: set train.device: cpu");
}

int cuda_device_count() {
  return 0;
}

std::string find_cuda_obstacle() {
  return {};
}

void select_cuda_device(int) {}

std::string gpu_address(int) {
  return {};
}

GpuLink gpu_link(int, int) {
  return GpuLink::none;
}

std::string describe_cuda() {
  return {};
}

std::unique_ptr<OccupiedMultiprocessors> occupy_multiprocessors(Device&, int, Beside) {
  return nullptr;
}

}  // namespace cola
