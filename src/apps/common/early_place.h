// The GPU and the network cards of a rank, taken before MPI starts, which would take its own.
#pragma once

namespace cola {

/// What a configuration says of it. A run on the CPU touches no GPU.
struct EarlyChoices {
  bool on_cpu = false, bind_network = true;
};

/// Gives a process that a launcher started its GPU, where it can tell which, and puts into the environment
/// the variables of network cards that transports read when they start (network_binding.h).
void take_place(const EarlyChoices& choices);

}  // namespace cola
