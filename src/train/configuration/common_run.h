// CommonRun: that all ranks of a job are about to run the same thing. Each has read its own copy of the
// configuration, and resolves what is left to `auto` on its own node.
#pragma once

#include <string>
#include <vector>

#include "dist/communicator.h"
#include "train/configuration/run_configuration.h"

namespace cola {

/// What one rank is about to run, as texts to compare. Left out is what belongs to a node: train.threads,
/// parallel.bind_network, checkpoint.local_dir.
std::vector<Setting> describe_run_of_rank(const RunConfiguration& configuration, DeviceKind device);

/// Throws UsageError on all ranks unless all of them have the same settings as rank 0: it names the first
/// rank that differs, both hosts, the key and both values. Where it is the device, a node lacks its GPU, and
/// it is an AgreedError. Collective.
void require_common_run(Communicator& world, const std::vector<Setting>& settings, const std::string& host);

/// fp32 for `auto` where devices prefer different types, as ranks that compute in different ones cannot work
/// together; anything else stays as it is. Collective.
Precision common_precision(Communicator& world, Precision precision, bool device_prefers_bfloat16);

}  // namespace cola
