// Run status: how a run stands, read from its run directory alone, on any machine that sees it.
#pragma once

#include <cstdint>
#include <string>

namespace cola {

/// Lines for people: what the run does, step, loss, throughput, time left, last committed checkpoint, and how
/// old this is at `now` (seconds since 1970). A run whose heartbeat has stopped is said to be so. Throws
/// UsageError if `directory` holds no run.
std::string describe_run(const std::string& directory, std::int64_t now);

}  // namespace cola
