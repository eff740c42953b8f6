// Priority of threads: work in the background gives way to everything else.
#pragma once

namespace cola {

/// The calling thread gets the lowest priority for cores and for disks that the system lets it choose.
void lower_priority_of_this_thread() noexcept;

}  // namespace cola
