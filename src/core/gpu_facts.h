// What CUDA says of this node's GPUs and of itself, for reports. Nothing here takes up memory on a GPU.
#pragma once

#include <string>
#include <vector>

namespace cola {

/// The PCI address of GPU number `ordinal`, as hwloc writes it: "0000:65:00.0". Empty where CUDA does not
/// say.
std::string gpu_address(int ordinal);
/// Of the first `count` GPUs, in CUDA's order.
inline std::vector<std::string> gpu_addresses(int count) {
  std::vector<std::string> addresses;
  for (int ordinal = 0; ordinal < count; ++ordinal) addresses.push_back(gpu_address(ordinal));
  return addresses;
}

/// How two GPUs reach each other's memory: over NVLink, over PCIe, or not but through host memory.
enum class GpuLink { none, pcie, nvlink };
GpuLink gpu_link(int first, int second);

/// "CUDA 13.0 (driver for 13.0), cuBLAS 13.1.0, cuDNN 9.19.0": what runs here, not what was built with; no
/// cuDNN in a build without it. Empty in a build without CUDA.
std::string describe_cuda();

}  // namespace cola
