#include "io/exchange/tokenizer_json.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <string_view>
#include <tuple>
#include <vector>

#include "core/error.h"
#include "io/exchange/base64.h"
#include "io/text/json_text.h"

namespace cola {

namespace {

using Json = nlohmann::ordered_json;
using Kind = SentencePiece::Kind;

constexpr const char* blank_mark = "\u2581";

Json replacement(const char* pattern_kind, const std::string& pattern, const std::string& content) {
  return {{"type", "Replace"}, {"pattern", {{pattern_kind, pattern}}}, {"content", content}};
}

Json normalizer(const SentencePieceModel& model) {
  Json steps = Json::array();
  if (!model.character_map.empty())
    steps.push_back({{"type", "Precompiled"}, {"precompiled_charsmap", base64(model.character_map)}});
  if (model.removes_blanks) {
    steps.push_back(replacement("Regex", R"(\A +| +\z)", ""));
    steps.push_back(replacement("Regex", " {2,}", " "));
  }
  if (model.adds_prefix) steps.push_back({{"type", "Prepend"}, {"prepend", blank_mark}});
  steps.push_back(replacement("String", " ", blank_mark));
  return {{"type", "Sequence"}, {"normalizers", steps}};
}

Json decoder(const SentencePieceModel& model) {
  Json steps = {replacement("String", blank_mark, " "), {{"type", "ByteFallback"}}, {{"type", "Fuse"}}};
  if (model.adds_prefix || model.removes_blanks)
    steps.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  return {{"type", "Sequence"}, {"decoders", steps}};
}

Json added_token(std::size_t id, const std::string& text, bool special) {
  return {{"id", id},        {"content", text},     {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", special}};
}

// Pieces that texts are not made of. Those that a user defined are part of a text: as added tokens they would
// part it into two, each with a blank of its own before it.
Json added_tokens(const SentencePieceModel& model) {
  Json tokens = Json::array();
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    const SentencePiece& piece = model.pieces[id];
    if (piece.kind == Kind::unknown || piece.kind == Kind::control)
      tokens.push_back(added_token(id, piece.text, true));
  }
  return tokens;
}

// SentencePiece does not map the characters of user-defined pieces; here they are mapped with the rest.
void require_unmapped(const SentencePieceModel& model, const SentencePiece& piece,
                      const std::string& origin) {
  const bool is_plain =
      std::all_of(piece.text.begin(), piece.text.end(), [](char c) { return c > 32 && c < 127; });
  if (!is_plain && !model.character_map.empty())
    throw UsageError("{}: its piece {}, defined by a user, cannot be exported for Hugging Face's tools",
                     origin, json_text(piece.text));
}

// Parts the text where pieces that a user defined stand, which are taken whole: the longest wherever it is
// found.
Json splitter(const SentencePieceModel& model, const std::string& origin) {
  std::vector<std::string_view> texts;
  for (const SentencePiece& piece : model.pieces) {
    if (piece.kind != Kind::user_defined) continue;
    require_unmapped(model, piece, origin);
    texts.push_back(piece.text);
  }
  if (texts.empty()) return nullptr;
  std::sort(texts.begin(), texts.end(), [](auto a, auto b) { return a.size() > b.size(); });
  std::string pattern;
  for (const std::string_view text : texts) {
    if (!pattern.empty()) pattern += '|';
    for (const char c : text) {
      if (std::ispunct(static_cast<unsigned char>(c))) pattern += '\\';
      pattern += c;
    }
  }
  return {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
}

bool is_made_of_characters(const SentencePiece& piece) {
  return piece.kind == Kind::normal || piece.kind == Kind::user_defined || piece.kind == Kind::unused;
}

// SentencePiece joins whichever neighbours make the piece of highest score: any two that make one.
Json merges(const SentencePieceModel& model) {
  std::map<std::string_view, std::size_t> ids;
  for (std::size_t id = 0; id < model.pieces.size(); ++id)
    if (is_made_of_characters(model.pieces[id])) ids.emplace(model.pieces[id].text, id);
  std::vector<std::tuple<float, std::size_t, std::string_view, std::string_view>> found;
  for (const auto& [text, id] : ids)
    for (std::size_t cut = 1; cut < text.size(); ++cut)
      if (ids.contains(text.substr(0, cut)) && ids.contains(text.substr(cut)))
        found.emplace_back(-model.pieces[id].score, id, text.substr(0, cut), text.substr(cut));
  std::sort(found.begin(), found.end());
  Json merges = Json::array();
  for (const auto& [score, id, left, right] : found) merges.push_back({left, right});
  return merges;
}

std::size_t unknown_id(const SentencePieceModel& model, const std::string& origin) {
  for (std::size_t id = 0; id < model.pieces.size(); ++id)
    if (model.pieces[id].kind == Kind::unknown) return id;
  throw UsageError("{}: this model has no piece for what is unknown", origin);
}

Json byte_pairs(const SentencePieceModel& model, const std::string& origin, bool has_user_pieces) {
  Json vocabulary = Json::object();
  // Appended, since pieces differ: looking each up would take the square of their number.
  auto& entries = vocabulary.get_ref<Json::object_t&>();
  for (std::size_t id = 0; id < model.pieces.size(); ++id) entries.emplace_back(model.pieces[id].text, id);
  return {{"type", "BPE"},
          {"unk_token", model.pieces[unknown_id(model, origin)].text},
          {"fuse_unk", true},
          {"byte_fallback", model.byte_fallback},
          {"ignore_merges", has_user_pieces},
          {"vocab", vocabulary},
          {"merges", merges(model)}};
}

Json unigram(const SentencePieceModel& model, const std::string& origin) {
  Json vocabulary = Json::array();
  // A user's pieces have no score: 0 is better than any that was learnt.
  for (const SentencePiece& piece : model.pieces) vocabulary.push_back({piece.text, piece.score});
  return {{"type", "Unigram"},
          {"unk_id", unknown_id(model, origin)},
          {"vocab", vocabulary},
          {"byte_fallback", model.byte_fallback}};
}

// The library knows bytes by a character each that can be seen: themselves in Latin-1, where they can, the
// others one after another from U+0100 on (GPT-2's alphabet).
std::string visible(std::size_t wanted) {
  std::size_t character = 256;
  for (std::size_t byte = 0; byte <= wanted; ++byte) {
    const bool seen = (byte > 32 && byte < 127) || (byte > 160 && byte != 173);
    if (byte == wanted && seen)
      character = byte;
    else if (byte < wanted && !seen)
      ++character;
  }
  if (character < 128) return {static_cast<char>(character)};
  return {static_cast<char>(0xC0 | character >> 6), static_cast<char>(0x80 | (character & 63))};
}

std::string whole(const Json& added, const Json& normalizer, const Json& splitter, const Json& decoder,
                  const Json& model) {
  return json_text({{"version", "1.0"},
                    {"truncation", nullptr},
                    {"padding", nullptr},
                    {"added_tokens", added},
                    {"normalizer", normalizer},
                    {"pre_tokenizer", splitter},
                    {"post_processor", nullptr},
                    {"decoder", decoder},
                    {"model", model}},
                   1) +
         "\n";
}

}  // namespace

std::string byte_tokenizer_json() {
  const Json splitter = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}, {"use_regex", false}};
  Json vocabulary = Json::object();
  for (std::size_t byte = 0; byte < 256; ++byte) vocabulary[visible(byte)] = byte;
  vocabulary[byte_end_text] = 256;
  vocabulary[byte_padding_text] = 257;
  return whole({added_token(256, byte_end_text, true), added_token(257, byte_padding_text, true)}, nullptr,
               splitter, splitter, {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", Json::array()}});
}

std::string tokenizer_json(const SentencePieceModel& model, const std::string& origin) {
  using Algorithm = SentencePieceModel::Algorithm;
  const bool is_known = model.algorithm == Algorithm::unigram || model.algorithm == Algorithm::byte_pairs;
  if (!is_known || !model.marks_blanks || model.blank_is_suffix)
    throw UsageError(
        "{}: only unigram and byte-pair models that mark blanks before words can be exported for Hugging "
        "Face's tools",
        origin);
  const Json splits = splitter(model, origin);
  return whole(added_tokens(model), normalizer(model), splits, decoder(model),
               model.algorithm == Algorithm::byte_pairs ? byte_pairs(model, origin, !splits.is_null())
                                                        : unigram(model, origin));
}

}  // namespace cola
