// Layouts of token files as text: one JSON array of arrays, in the order of the struct's members.
#include <nlohmann/json.hpp>

#include "io/token_file.h"

namespace cola {

namespace {

using Json = nlohmann::json;

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
    all.push_back(Json::array({layout.path, a.vocab_size, a.eos_id, a.pad_id, a.tokenizer,
                               to_string(a.packing), a.sequence_length, to_json(layout.tokens),
                               to_json(layout.documents), layout.version.bytes, layout.version.modified}));
  }
  return all.dump();
}

std::vector<TokenFileLayout> layouts_from_text(const std::string& text) {
  std::vector<TokenFileLayout> layouts;
  for (const Json& json : Json::parse(text))
    layouts.push_back(
        {json.at(0),
         {json.at(1), json.at(2), json.at(3), json.at(4), packing_from_name(json.at(5)), json.at(6)},
         extent_from(json.at(7)),
         extent_from(json.at(8)),
         {json.at(9), json.at(10)}});
  return layouts;
}

}  // namespace cola
