#include "core/gpu_facts.h"

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "core/cuda/attention.h"

namespace cola {

namespace {

// CUDA counts 1000 * major + 10 * minor.
std::string cuda_version(int number) {
  return fmt::format("{}.{}", number / 1000, number % 1000 / 10);
}

// cuBLAS and cuDNN count 10000 * major + 100 * minor + patch.
std::string library_version(std::size_t number) {
  return fmt::format("{}.{}.{}", number / 10000, number / 100 % 100, number % 100);
}

bool have(cudaDeviceP2PAttr attribute, int first, int second) {
  int value = 0;
  if (cudaDeviceGetP2PAttribute(&value, attribute, first, second) == cudaSuccess) return value != 0;
  cudaGetLastError();  // it would surface again at the next check
  return false;
}

}  // namespace

std::string gpu_address(int ordinal) {
  std::array<char, 32> address{};
  if (cudaDeviceGetPCIBusId(address.data(), static_cast<int>(address.size()), ordinal) != cudaSuccess) {
    cudaGetLastError();
    return {};
  }
  std::string text = address.data();
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  return text;
}

// Atomic operations on another GPU's memory go over NVLink alone.
GpuLink gpu_link(int first, int second) {
  if (!have(cudaDevP2PAttrAccessSupported, first, second)) return GpuLink::none;
  return have(cudaDevP2PAttrNativeAtomicSupported, first, second) ? GpuLink::nvlink : GpuLink::pcie;
}

std::string describe_cuda() {
  int runtime = 0, driver = 0;
  if (cudaRuntimeGetVersion(&runtime) != cudaSuccess || cudaDriverGetVersion(&driver) != cudaSuccess)
    cudaGetLastError();
  std::string text = fmt::format("CUDA {} (driver for {}), cuBLAS {}", cuda_version(runtime),
                                 cuda_version(driver), library_version(cublasLtGetVersion()));
  if (const std::size_t cudnn = cuda::cudnn_version(); cudnn > 0) text += ", cuDNN " + library_version(cudnn);
  return text;
}

}  // namespace cola
