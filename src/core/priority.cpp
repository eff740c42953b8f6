#include "core/priority.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

namespace cola {

void lower_priority_of_this_thread() noexcept {
  const auto thread = static_cast<id_t>(syscall(SYS_gettid));
  // Not the lowest: work that never ends would make training wait in the end.
  constexpr int step = 15, lowest = 19;
  const int niceness = getpriority(PRIO_PROCESS, thread);  // on Linux a thread has one of its own
  setpriority(PRIO_PROCESS, thread, std::min(niceness + step, lowest));
  // The lowest of the classes that are still served beside others (the kernel's ioprio.h): not "idle", which
  // a busy disk would starve.
  constexpr int one_thread = 1, best_effort_class = 2, class_shift = 13, last_level = 7;
  syscall(SYS_ioprio_set, one_thread, thread, (best_effort_class << class_shift) | last_level);
}

}  // namespace cola
