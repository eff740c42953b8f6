#include "apps/data_inspect.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>

#include "core/error.h"
#include "io/file_kind.h"
#include "io/token_file.h"
#include "io/token_file_check.h"
#include "io/tokenizer.h"

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

}  // namespace

int inspect_tokens(const std::vector<std::string>& words) {
  if (words.size() != 1) throw UsageError("usage: cola_data inspect FILE");
  require_file(words[0]);
  const TokenFile file(words[0]);
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
  if (!checked.problems.empty())
    throw FileError(
        "{}: {}{}", file.path(), checked.problems.front(),
        checked.problems.size() > 1 ? fmt::format(" (and {} more)", checked.problems.size() - 1) : "");
  show_first_tokens(file);
  fmt::print("checks           passed\n");
  return exit_finished;
}

}  // namespace cola
