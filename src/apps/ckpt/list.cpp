#include "apps/ckpt/list.h"

#include <fmt/format.h>

#include <chrono>
#include <filesystem>

#include "apps/ckpt/arguments.h"
#include "core/error.h"
#include "core/text.h"
#include "io/checkpoints/checkpoint_directory.h"

namespace cola {

namespace {

std::string readable_age(const std::string& path) {
  std::error_code problem;
  const auto written = std::filesystem::last_write_time(path, problem);
  if (problem) return "-";
  const auto age = std::filesystem::file_time_type::clock::now() - written;
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(age).count();
  if (seconds < 120) return fmt::format("{} s", std::max<std::int64_t>(seconds, 0));
  if (seconds < 7200) return fmt::format("{} min", seconds / 60);
  if (seconds < 172800) return fmt::format("{} h", seconds / 3600);
  return fmt::format("{} d", seconds / 86400);
}

void print_row(const std::string& step, const std::string& age, const std::string& size,
               const std::string& tokens, const std::string& shards, const std::string& status) {
  fmt::print("{:<23} {:>8} {:>11} {:>15} {:>6}  {}\n", step, age, size, tokens, shards, status);
}

void list_one(const std::string& folder) {
  const std::string name = last_name(folder);
  if (!is_committed(folder)) {
    print_row(name, readable_age(folder), "-", "-", "-", "incomplete: no manifest.json");
    return;
  }
  const std::string age = readable_age(folder + "/manifest.json"), damage = find_damage(folder);
  if (!damage.empty()) {
    print_row(name, age, "-", "-", "-", damage);
    return;
  }
  const Manifest manifest = read_manifest(folder);
  print_row(name, age, format_bytes(manifest.total_bytes()), std::to_string(manifest.tokens),
            std::to_string(manifest.shards.size()), "committed");
}

}  // namespace

int list_checkpoints(const std::vector<std::string>& words) {
  const std::string path = CheckpointArguments(words, {}).paths(1, 1, "list DIR").front();
  if (!std::filesystem::is_directory(path)) throw UsageError("{}: no such folder", path);
  std::vector<std::string> folders = {path}, abandoned;
  if (!is_committed(path)) {
    folders = step_folders(checkpoints_directory(path));
    abandoned = abandoned_folders(checkpoints_directory(path));
  }
  if (folders.empty() && abandoned.empty()) {
    fmt::print("{} holds no checkpoints\n", path);
    return exit_finished;
  }
  print_row("checkpoint", "age", "size", "tokens", "shards", "status");
  for (const std::string& folder : folders) list_one(folder);
  for (const std::string& folder : abandoned)
    print_row(last_name(folder), readable_age(folder), "-", "-", "-",
              "set aside: resumed from only if --resume names it");
  return exit_finished;
}

}  // namespace cola
