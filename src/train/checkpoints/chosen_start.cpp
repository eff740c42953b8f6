#include "train/checkpoints/chosen_start.h"

#include <fmt/format.h>

#include <charconv>
#include <filesystem>

#include "core/error.h"
#include "io/files/durable_file.h"
#include "io/files/run_directory.h"

namespace cola {

namespace {

// However it is spelled; the folder itself may be gone by now.
std::string spelled_out(const std::string& chosen) {
  std::string path = std::filesystem::absolute(chosen).lexically_normal().string();
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

}  // namespace

void note_chosen_start(const std::string& run_directory, const std::string& chosen, std::int64_t step) {
  write_file(chosen_start_file(run_directory), fmt::format("{} {}\n", step, spelled_out(chosen)));
}

std::optional<std::int64_t> find_chosen_start(const std::string& run_directory, const std::string& chosen) {
  if (!std::filesystem::exists(chosen_start_file(run_directory))) return std::nullopt;
  const std::string text = read_file(chosen_start_file(run_directory));
  std::int64_t step = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), step);
  if (problem != std::errc() || end != fmt::format(" {}\n", spelled_out(chosen))) return std::nullopt;
  return step;
}

void forget_chosen_start(const std::string& run_directory) {
  std::error_code problem;
  if (!std::filesystem::remove(chosen_start_file(run_directory), problem) && problem)
    throw FileError("{}: cannot remove: {}", chosen_start_file(run_directory), problem.message());
}

}  // namespace cola
