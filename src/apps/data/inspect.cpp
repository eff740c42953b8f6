#include "apps/data/inspect.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>

#include "core/error.h"
#include "core/log.h"
#include "io/files/file_kind.h"
#include "io/tokens/token_file.h"
#include "io/tokens/token_file_check.h"
#include "io/tokens/tokenizer.h"

namespace cola {

namespace {

std::string printable(const std::string& text) {
  std::string shown;
  for (const char character : text) {
    const auto byte = static_cast<unsigned char>(character);
    if (character == '\n') {
      shown += "\\n";
    } else if (byte < 0x20 || byte == 0x7F) {
      shown += fmt::format("\\x{:02x}", byte);
    } else {
      shown += character;
    }
  }
  return shown;
}

void show_first_tokens(const TokenFile& file) {
  std::vector<std::int32_t> ids(static_cast<std::size_t>(std::min<std::int64_t>(file.tokens(), 16)));
  file.read(0, ids);
  fmt::print("first tokens     {}\n", fmt::join(ids, " "));
  if (file.attributes().tokenizer != "bytes") return;
  ids.resize(static_cast<std::size_t>(std::min<std::int64_t>(file.tokens(), 160)));
  file.read(0, ids);
  fmt::print("first text       {}\n", printable(make_byte_tokenizer()->decode(ids)));
}

/// Throws FileError naming the file if something in it is not as it must be.
void require_good(const TokenFile& file, const TokenFileReport& checked) {
  if (checked.problems.empty()) return;
  throw FileError(
      "{}: {}{}", file.path(), checked.problems.front(),
      checked.problems.size() > 1 ? fmt::format(" (and {} more)", checked.problems.size() - 1) : "");
}

void show_whole(const std::string& path) {
  const TokenFile file(path);
  const auto& attributes = file.attributes();
  fmt::print("file             {} ({} bytes)\n", file.path(), size_of_file(file.path()));
  fmt::print("tokenizer        {}\n", attributes.tokenizer);
  fmt::print("vocab_size       {}\neos_id           {}\npad_id           {}\n", attributes.vocab_size,
             attributes.eos_id, attributes.pad_id);
  fmt::print("packing          {}\n", to_string(attributes.packing));
  if (attributes.packing == Packing::document)
    fmt::print("sequence_length  {}\n", attributes.sequence_length);
  fmt::print("tokens           {} (uint{})\n", file.tokens(), 8 * file.token_bytes());
  fmt::print("documents        {} ({:.1f} tokens each)\n", file.documents(),
             static_cast<double>(file.tokens()) / static_cast<double>(file.documents()));
  const TokenFileReport checked = check_token_file(file);
  fmt::print("padding          {} tokens\n", checked.padding_tokens);
  require_good(file, checked);
  show_first_tokens(file);
  fmt::print("checks           passed\n");
}

/// Of files that passed all checks.
struct Sums {
  std::size_t files = 0;
  std::int64_t tokens = 0, documents = 0, padding_tokens = 0;
};

void show_on_a_line(const std::string& path, Sums& sums) {
  const TokenFile file(path);
  const auto& attributes = file.attributes();
  const TokenFileReport checked = check_token_file(file);
  require_good(file, checked);
  const std::string rows = attributes.packing == Packing::document
                               ? fmt::format(" in rows of {}", attributes.sequence_length)
                               : "";
  fmt::print("{}: {} tokens{}, {} documents, {} padding; {}\n", path, file.tokens(), rows, file.documents(),
             checked.padding_tokens, attributes.tokenizer);
  ++sums.files;
  sums.tokens += file.tokens();
  sums.documents += file.documents();
  sums.padding_tokens += checked.padding_tokens;
}

/// All of them, also behind one that is damaged.
int show_each(const std::vector<std::string>& paths) {
  Sums sums;
  for (const std::string& path : paths) {
    try {
      show_on_a_line(path, sums);
    } catch (const FileError& problem) {
      log_error(problem.what());
    }
  }
  const std::size_t damaged = paths.size() - sums.files;
  fmt::print("total: {} tokens, {} documents, {} padding in {} files{}\n", sums.tokens, sums.documents,
             sums.padding_tokens, sums.files,
             damaged > 0 ? fmt::format("; {} more failed the checks", damaged) : ", all good");
  return damaged > 0 ? exit_failed : exit_finished;
}

}  // namespace

int inspect_tokens(const std::vector<std::string>& words) {
  if (words.empty()) throw UsageError("usage: cola_data inspect FILE...");
  for (const std::string& path : words) require_file(path);
  if (words.size() > 1) return show_each(words);
  show_whole(words.front());
  return exit_finished;
}

}  // namespace cola
