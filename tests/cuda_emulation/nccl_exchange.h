// NcclExchange: how ranks of the emulated NCCL, threads or processes of one machine, meet and hand each other
// what their collectives bring: as files in a folder of their own.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace cola::emulation {

/// What all ranks must agree on.
struct CollectiveKind {
  char name[16];        // ends with a zero
  std::uint64_t bytes;  // of one rank's contribution
};

class NcclExchange {
 public:
  /// Makes the folder under which ranks meet. Throws Error.
  static std::filesystem::path make_folder();

  /// Waits until all ranks are here.
  NcclExchange(std::filesystem::path folder, int rank, int ranks);
  /// The last rank to leave removes the folder.
  ~NcclExchange();
  NcclExchange(const NcclExchange&) = delete;
  NcclExchange& operator=(const NcclExchange&) = delete;

  int rank() const { return rank_; }
  int ranks() const { return ranks_; }

  /// This rank's part in collective `number`; collectives are numbered from 0.
  void contribute(std::uint64_t number, const CollectiveKind& kind, const void* data);
  /// Whether all ranks have contributed.
  bool complete(std::uint64_t number) const;
  /// What that rank contributed. Throws EmulationError if its collective was another one.
  std::vector<std::byte> contribution(std::uint64_t number, int rank, const CollectiveKind& kind) const;
  /// All ranks have done the collective before this one: what this rank brought there can go.
  void forget_before(std::uint64_t number);

  /// Says to all that this rank will not come again.
  void abort();
  bool aborted() const { return aborted_; }
  bool aborted_by_another() const;

 private:
  std::filesystem::path path_of(const std::string& what, int rank) const;
  bool all_there(const std::string& what) const;
  void publish(const std::string& what, std::span<const std::span<const std::byte>> parts) const;

  std::filesystem::path folder_;
  int rank_, ranks_;
  std::atomic<bool> aborted_ = false;
};

}  // namespace cola::emulation
