// Brief attempt: what a process that is about to end would still like done, such as to write down why. A
// shared file system that hangs may be the very reason, and must not keep it from ending.
#pragma once

#include <chrono>
#include <functional>

namespace cola {

/// Runs `work` on a thread of its own and waits for it, but not longer than `limit`. `work` owns all that it
/// uses: it may outlive the caller. Its exceptions are dropped.
void attempt_briefly(std::function<void()> work,
                     std::chrono::milliseconds limit = std::chrono::seconds(2)) noexcept;

}  // namespace cola
