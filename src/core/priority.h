// Priority of threads: work in the background gives way to everything else.
#pragma once

namespace cola {

/// The calling thread gives way for cores (about a thirtieth of one that it shares with a thread that never
/// waits is left to it, all of one that is free) and comes last for disks.
void lower_priority_of_this_thread() noexcept;

}  // namespace cola
