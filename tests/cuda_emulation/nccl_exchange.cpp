#include "nccl_exchange.h"

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <thread>
#include <utility>

#include "emulation_error.h"

namespace cola::emulation {

namespace fs = std::filesystem;

fs::path NcclExchange::make_folder() {
  std::string folder = fs::temp_directory_path() / "cola-nccl-XXXXXX";
  if (!mkdtemp(folder.data())) throw EmulationError("no folder can be made at {}", folder);
  return folder;
}

NcclExchange::NcclExchange(fs::path folder, int rank, int ranks)
    : folder_(std::move(folder)), rank_(rank), ranks_(ranks) {
  publish("here", {});
  while (!all_there("here")) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

NcclExchange::~NcclExchange() {
  publish("gone", {});
  std::error_code removed_by_another;
  if (all_there("gone")) fs::remove_all(folder_, removed_by_another);
}

void NcclExchange::contribute(std::uint64_t number, const CollectiveKind& kind, const void* data) {
  const std::span<const std::byte> parts[] = {std::as_bytes(std::span(&kind, 1)),
                                              {static_cast<const std::byte*>(data), kind.bytes}};
  publish(std::to_string(number), parts);
}

bool NcclExchange::complete(std::uint64_t number) const {
  return all_there(std::to_string(number));
}

std::vector<std::byte> NcclExchange::contribution(std::uint64_t number, int rank,
                                                  const CollectiveKind& kind) const {
  std::ifstream file(path_of(std::to_string(number), rank), std::ios::binary);
  CollectiveKind other{};
  file.read(reinterpret_cast<char*>(&other), sizeof other);
  if (std::strcmp(other.name, kind.name) != 0 || other.bytes != kind.bytes)
    throw EmulationError("NCCL collective {}: rank {} started {} of {} bytes, rank {} {} of {}", number,
                         rank_, kind.name, kind.bytes, rank, other.name, other.bytes);
  std::vector<std::byte> data(kind.bytes);
  file.read(reinterpret_cast<char*>(data.data()), static_cast<std::streamsize>(data.size()));
  if (!file) throw EmulationError("NCCL collective {}: what rank {} brought cannot be read", number, rank);
  return data;
}

void NcclExchange::forget_before(std::uint64_t number) {
  std::error_code none_there;
  if (number > 0) fs::remove(path_of(std::to_string(number - 1), rank_), none_there);
}

void NcclExchange::abort() {
  if (!aborted_.exchange(true)) publish("aborted", {});
}

bool NcclExchange::aborted_by_another() const {
  for (int rank = 0; rank < ranks_; ++rank)
    if (rank != rank_ && fs::exists(path_of("aborted", rank))) return true;
  return false;
}

fs::path NcclExchange::path_of(const std::string& what, int rank) const {
  return folder_ / (what + "." + std::to_string(rank));
}

bool NcclExchange::all_there(const std::string& what) const {
  for (int rank = 0; rank < ranks_; ++rank)
    if (!fs::exists(path_of(what, rank))) return false;
  return true;
}

// There as a whole or not at all.
void NcclExchange::publish(const std::string& what, std::span<const std::span<const std::byte>> parts) const {
  const fs::path path = path_of(what, rank_), unfinished = path.string() + ".unfinished";
  {
    std::ofstream file(unfinished, std::ios::binary);
    for (const auto part : parts)
      file.write(reinterpret_cast<const char*>(part.data()), static_cast<std::streamsize>(part.size()));
  }
  std::error_code folder_removed;  // as a test does with all it made
  fs::rename(unfinished, path, folder_removed);
}

}  // namespace cola::emulation
