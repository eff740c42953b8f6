// What this process may use of its host, but for memory (host_memory.h).
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace cola {

/// The cores this process may run on, by number; equal lists on one host mean shared cores.
std::vector<int> usable_core_ids();
/// Their number.
int usable_cores();
/// Binds this process, its threads to come included, to these cores. False where the system refuses.
bool bind_to_cores(const std::vector<int>& ids);

/// As the system's administrator named it.
std::string host_name();

/// The network interfaces that are up and have an address, loopback left out, in the order of names.
std::vector<std::string> addressed_interfaces();
/// As the driver says, in megabits a second; 0 where it does not.
int interface_megabits(const std::string& interface);

/// As /proc/cpuinfo names it; "CPU" where it does not.
std::string processor_name();

/// Whether standard output is a terminal that a live line can be drawn on.
bool stdout_is_terminal();

}  // namespace cola
