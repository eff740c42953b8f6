// Which physical GPU a rank computes on, told apart over the whole job.
#pragma once

#include <span>
#include <string>

namespace cola {

/// The same text for two ranks if and only if they compute on the same GPU.
/// "PCI_BUS_ID on HOST", as in "0000:65:00.0 on node3".
std::string gpu_place(const std::string& pci_bus_id, const std::string& host);

/// `places`: one a rank, in rank order; empty for a rank without a GPU. Names the ranks that share a GPU, of
/// the first GPU that is shared: "ranks 0 and 1 share GPU 0000:65:00.0 on node3". Empty if each has its own.
std::string find_shared_gpu(std::span<const std::string> places);

/// Where ranks share a GPU on some hosts, and each has its own on others, which looks like a GPU that has
/// failed: one line that names those ranks, the GPU and the host, with the cure. Empty where hosts are alike.
std::string find_uneven_sharing(std::span<const std::string> places);

}  // namespace cola
