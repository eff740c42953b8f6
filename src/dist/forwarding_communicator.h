// ForwardingCommunicator: what is built on another communicator and hands it every call but a few.
#pragma once

#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dist/communicator.h"

namespace cola {

class ForwardingCommunicator : public Communicator {
 public:
  int rank() const override { return host_.rank(); }
  int size() const override { return host_.size(); }
  std::string transport() const override { return host_.transport(); }
  std::size_t staging_bytes() const override { return host_.staging_bytes(); }
  double waited_seconds() const override { return host_.waited_seconds(); }

  void all_reduce(std::span<double> values) override { host_.all_reduce(values); }
  void all_reduce_maximum(std::span<std::int64_t> values) override { host_.all_reduce_maximum(values); }
  void broadcast(std::span<std::byte> bytes, int root) override { host_.broadcast(bytes, root); }
  std::vector<std::string> all_gather(const std::string& text) override { return host_.all_gather(text); }
  void barrier() override { host_.barrier(); }
  [[noreturn]] void abort(int exit_code) override {
    host_.abort(exit_code);
    std::_Exit(exit_code);  // never reached, as the compiler cannot see
  }

 protected:
  /// `host` outlives this, or belongs to it.
  explicit ForwardingCommunicator(Communicator& host) : host_(host) {}
  explicit ForwardingCommunicator(std::unique_ptr<Communicator> host)
      : owned_(std::move(host)), host_(*owned_) {}

  Communicator& host() const { return host_; }

 private:
  std::unique_ptr<Communicator> owned_;  // null where it belongs to somebody else
  Communicator& host_;
};

}  // namespace cola
