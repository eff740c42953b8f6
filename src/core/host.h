// What this process may use of its host, and how much memory it has used.
#pragma once

#include <cstddef>
#include <string>

namespace cola {

/// Cores that this process is bound to, and cores of the whole machine.
int usable_cores();
int online_cores();

/// The set of cores this process is bound to, as text: equal texts on one host mean shared cores.
std::string usable_cores_text();

/// As /proc/cpuinfo names it; "CPU" where it does not.
std::string processor_name();

/// The most physical memory this process has held so far, in bytes.
std::size_t peak_resident_bytes();
/// Forgets that peak, where the system allows it (Linux).
void reset_peak_resident_bytes();

/// Whether standard output is a terminal that a live line can be drawn on.
bool stdout_is_terminal();

}  // namespace cola
