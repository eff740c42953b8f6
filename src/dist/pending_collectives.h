// PendingCollectives: at most one collective under way at each of a few places.
#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "dist/communicator.h"

namespace cola {

class PendingCollectives {
 public:
  explicit PendingCollectives(int places) : under_way_(static_cast<std::size_t>(places)) {}

  void start(int place, std::unique_ptr<PendingCollective> collective) {
    under_way_.at(static_cast<std::size_t>(place)) = std::move(collective);
  }
  /// Returns when nothing is under way there.
  void wait(int place) {
    auto& collective = under_way_.at(static_cast<std::size_t>(place));
    if (collective) collective->wait();
    collective.reset();
  }
  void wait_all() {
    for (int place = 0; place < static_cast<int>(under_way_.size()); ++place) wait(place);
  }
  bool any() const {
    return std::any_of(under_way_.begin(), under_way_.end(),
                       [](auto& collective) { return collective != nullptr; });
  }
  void progress() {
    for (auto& collective : under_way_)
      if (collective) collective->progress();
  }

 private:
  std::vector<std::unique_ptr<PendingCollective>> under_way_;
};

}  // namespace cola
