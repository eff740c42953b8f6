// Layouts of token files as text: one JSON array of arrays, in the order of the struct's members.
#include <nlohmann/json.hpp>

#include "io/tokens/token_file.h"

namespace cola {

namespace {

using Json = nlohmann::json;

/// A path is bytes, JSON is UTF-8: each byte becomes the character of its number, and back.
std::string characters_of(const std::string& bytes) {
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80) text += static_cast<char>(0xC0u | (byte >> 6u));
    text += static_cast<char>(byte < 0x80 ? byte : 0x80u | (byte & 0x3Fu));
  }
  return text;
}
std::string bytes_of(const std::string& text) {
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto byte = static_cast<unsigned char>(text[i]);
    if (byte >= 0x80) byte = static_cast<unsigned char>((byte << 6u) | (text.at(++i) & 0x3F));
    bytes += static_cast<char>(byte);
  }
  return bytes;
}

Json to_json(const TokenFileLayout::Extent& extent) {
  return Json::array({extent.offset, extent.size, extent.element_bytes});
}

TokenFileLayout::Extent extent_from(const Json& json) {
  return {json.at(0), json.at(1), json.at(2)};
}

}  // namespace

std::string to_text(std::span<const TokenFileLayout> layouts) {
  Json all = Json::array();
  for (const TokenFileLayout& layout : layouts) {
    const TokenFileAttributes& a = layout.attributes;
    all.push_back(Json::array({characters_of(layout.path), a.vocab_size, a.eos_id, a.pad_id, a.tokenizer,
                               to_string(a.packing), a.sequence_length, to_json(layout.tokens),
                               to_json(layout.documents), layout.version.bytes, layout.version.modified,
                               layout.version.inode}));
  }
  return all.dump();
}

std::vector<TokenFileLayout> layouts_from_text(const std::string& text) {
  std::vector<TokenFileLayout> layouts;
  for (const Json& json : Json::parse(text))
    layouts.push_back(
        {bytes_of(json.at(0)),
         {json.at(1), json.at(2), json.at(3), json.at(4), packing_from_name(json.at(5)), json.at(6)},
         extent_from(json.at(7)),
         extent_from(json.at(8)),
         {json.at(9), json.at(10), json.at(11)}});
  return layouts;
}

}  // namespace cola
