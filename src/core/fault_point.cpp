#include "core/fault_point.h"

#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <string>
#include <string_view>

namespace cola {

namespace {

class ChosenPoint {
 public:
  ChosenPoint() {
    const char* chosen = std::getenv("COLA_FAULT_POINT");
    if (!chosen) return;
    const std::string_view text(chosen);
    const std::size_t colon = text.find(':');
    name_ = text.substr(0, colon);
    int arrivals = 1;
    if (colon != text.npos) std::from_chars(text.data() + colon + 1, text.data() + text.size(), arrivals);
    arrivals_left_ = arrivals;
  }
  void arrive_at(std::string_view name) {
    if (!name_.empty() && name == name_ && --arrivals_left_ == 0) std::raise(SIGKILL);
  }

 private:
  std::string name_;
  std::atomic<int> arrivals_left_ = 0;
};

}  // namespace

void fault_point(const char* name) {
  static ChosenPoint chosen;
  chosen.arrive_at(name);
}

}  // namespace cola
