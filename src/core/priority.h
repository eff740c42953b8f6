// Priority of threads: work in the background gives way to everything else.
#pragma once

namespace cola {

/// The calling thread gives way for cores (about a tenth of one that it shares with a busy thread is left to
/// it) and comes last for disks.
void lower_priority_of_this_thread() noexcept;

}  // namespace cola
