#include "files/huggingface/write_tokenizer.h"

#include <algorithm>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "base/utf8.h"
#include "files/huggingface/base64.h"
#include "files/huggingface/pre_tokenizer_names.h"

namespace tessera::huggingface {
namespace {

using nlohmann::ordered_json;

TokenType type_of(const VocabularyData& vocabulary, size_t id) {
  return vocabulary.types ? vocabulary.types->at(id) : TokenType::kNormal;
}

bool is_added(TokenType type) {
  return type == TokenType::kControl || type == TokenType::kUserDefined;
}

ordered_json added_tokens(const VocabularyData& vocabulary) {
  ordered_json tokens = ordered_json::array();
  for (size_t id = 0; id < vocabulary.texts.size(); ++id) {
    const TokenType type = type_of(vocabulary, id);
    if (!is_added(type)) continue;
    tokens.push_back({{"id", id},
                      {"content", vocabulary.texts[id]},
                      {"single_word", false},
                      {"lstrip", false},
                      {"rstrip", false},
                      {"normalized", false},
                      {"special", type == TokenType::kControl}});
  }
  return tokens;
}

// All of them, added ones too: those have ids among the others'.
ordered_json entries(const VocabularyData& vocabulary) {
  ordered_json result = ordered_json::object();
  // Not by its own emplace(), which compares each new name with all before it.
  ordered_json::object_t::Container& object = result.get_ref<ordered_json::object_t&>();
  object.reserve(vocabulary.texts.size());
  for (size_t id = 0; id < vocabulary.texts.size(); ++id) {
    const std::string& text = vocabulary.texts[id];
    if (!is_valid_utf8(text)) fail("token {} is no UTF-8, which tokenizer.json has to be", id);
    object.emplace_back(text, id);
  }
  return result;
}

// What SentencePiece's scores mean: of two neighbours that form an entry, those of the best score
// are joined first. For one entry, shorter ids first, as transformers' converter has it.
std::vector<std::string> merges_of_scores(const VocabularyData& vocabulary) {
  if (!vocabulary.scores) fail("a SentencePiece tokenizer without scores has no merges");
  std::unordered_map<std::string_view, size_t> ids;
  for (size_t id = 0; id < vocabulary.texts.size(); ++id) ids.emplace(vocabulary.texts[id], id);
  using Merge = std::tuple<double, size_t, size_t, size_t>;  // -score, piece, left, right
  std::vector<Merge> merges;
  for (size_t id = 0; id < vocabulary.texts.size(); ++id) {
    const std::string_view text = vocabulary.texts[id];
    if (type_of(vocabulary, id) != TokenType::kNormal || text.size() > 512) continue;
    for (size_t cut = 1; cut < text.size(); ++cut) {
      if ((static_cast<uint8_t>(text[cut]) & 0xc0) == 0x80) continue;  // within a character
      const auto left = ids.find(text.substr(0, cut)), right = ids.find(text.substr(cut));
      if (left == ids.end() || right == ids.end()) continue;
      merges.emplace_back(-vocabulary.scores->at(id), id, left->second, right->second);
    }
  }
  std::ranges::sort(merges);
  std::vector<std::string> lines;
  for (const auto& [score, id, left, right] : merges)
    lines.push_back(vocabulary.texts[left] + " " + vocabulary.texts[right]);
  return lines;
}

ordered_json pairs(const std::vector<std::string>& merges) {
  ordered_json list = ordered_json::array();
  for (const std::string& merge : merges) {
    const size_t space = merge.find(' ', 1);
    if (space == std::string::npos) fail("the merge '{}' is no pair", printable(merge));
    list.push_back({merge.substr(0, space), merge.substr(space + 1)});
  }
  return list;
}

constexpr std::string_view kOuterSpaces = R"(\A +| +\z)";

ordered_json replace(std::string_view from, std::string_view to, const char* kind = "String") {
  return {{"type", "Replace"}, {"pattern", {{kind, from}}}, {"content", to}};
}

// What each kind does where the file does not say.
bool adds_eos(const TokenizerData& data) {
  const VocabularyData& vocabulary = data.vocabulary;
  const bool usual = data.kind == TokenizerKind::kUnigram;
  return vocabulary.add_eos_token.value_or(usual) && vocabulary.eos_token_id.value_or(-1) >= 0;
}

bool adds_bos(const TokenizerData& data) {
  const VocabularyData& vocabulary = data.vocabulary;
  const bool usual = data.kind == TokenizerKind::kSentencePiece ||
                     vocabulary.pre_tokenizer == "llama-bpe" ||
                     vocabulary.pre_tokenizer == "tekken";
  return vocabulary.add_bos_token.value_or(usual) && vocabulary.bos_token_id.value_or(-1) >= 0;
}

ordered_json post_processor(const TokenizerData& data) {
  const VocabularyData& vocabulary = data.vocabulary;
  ordered_json tokens = ordered_json::object();
  const auto special = [&](int64_t id) {
    const std::string& text = vocabulary.texts.at(static_cast<size_t>(id));
    tokens[text] = {{"id", text}, {"ids", {id}}, {"tokens", {text}}};
    return ordered_json{{"SpecialToken", {{"id", text}, {"type_id", 0}}}};
  };
  ordered_json single = ordered_json::array(), pair = ordered_json::array();
  for (const auto& [name, type] : {std::pair("A", 0), std::pair("B", 1)}) {
    ordered_json parts = ordered_json::array();
    if (adds_bos(data)) parts.push_back(special(*vocabulary.bos_token_id));
    parts.push_back({{"Sequence", {{"id", name}, {"type_id", type}}}});
    if (adds_eos(data)) parts.push_back(special(*vocabulary.eos_token_id));
    if (type == 0) single = parts;
    for (const ordered_json& part : parts) pair.push_back(part);
  }
  if (tokens.empty()) return nullptr;
  return {{"type", "TemplateProcessing"},
          {"single", single},
          {"pair", pair},
          {"special_tokens", tokens}};
}

ordered_json byte_level(bool add_prefix_space) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", add_prefix_space},
          {"trim_offsets", true},
          {"use_regex", false}};
}

void describe_byte_pairs(const TokenizerData& data, ordered_json& json) {
  const std::string& name = data.vocabulary.pre_tokenizer;
  const auto patterns = find_pre_tokenizer(name);
  if (patterns.empty()) {
    fail("the pre-tokenizer '{}' is none that tokenizer.json can be written for", printable(name));
  }
  if (!data.merges) fail("a byte-level tokenizer without merges");
  ordered_json steps = ordered_json::array();
  for (const std::string_view pattern : patterns) {
    steps.push_back({{"type", "Split"},
                     {"pattern", {{"Regex", pattern}}},
                     {"behavior", "Isolated"},
                     {"invert", false}});
  }
  steps.push_back(byte_level(false));
  json["normalizer"] = nullptr;
  json["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", steps}};
  json["decoder"] = byte_level(false);
  json["model"] = {{"type", "BPE"},
                   {"dropout", nullptr},
                   {"unk_token", nullptr},
                   {"fuse_unk", false},
                   {"byte_fallback", false},
                   {"ignore_merges", ignores_merges(name)},
                   {"vocab", entries(data.vocabulary)},
                   {"merges", pairs(*data.merges)}};
}

constexpr const char* kSpace = "\u2581";

// Spaces are marked, and one goes before the text if `prefix`; decoding takes both back.
void describe_spaces(bool prefix, ordered_json normalizers, ordered_json& json) {
  if (prefix) normalizers.push_back({{"type", "Prepend"}, {"prepend", kSpace}});
  normalizers.push_back(replace(" ", kSpace));
  ordered_json decoders =
      ordered_json::array({replace(kSpace, " "), {{"type", "ByteFallback"}}, {{"type", "Fuse"}}});
  if (prefix) decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  json["normalizer"] = {{"type", "Sequence"}, {"normalizers", normalizers}};
  json["pre_tokenizer"] = nullptr;
  json["decoder"] = {{"type", "Sequence"}, {"decoders", decoders}};
}

void describe_sentencepiece(const TokenizerData& data, ordered_json& json) {
  const VocabularyData& vocabulary = data.vocabulary;
  describe_spaces(data.add_space_prefix.value_or(true), ordered_json::array(), json);
  const int64_t unknown = vocabulary.unknown_token_id.value_or(0);
  ordered_json model = {{"type", "BPE"}, {"dropout", nullptr}};
  model["unk_token"] = unknown < 0
                           ? ordered_json()
                           : ordered_json(vocabulary.texts.at(static_cast<size_t>(unknown)));
  model["fuse_unk"] = true;
  model["byte_fallback"] = true;
  model["vocab"] = entries(vocabulary);
  model["merges"] = pairs(merges_of_scores(vocabulary));
  json["model"] = model;
}

// Words are not cut, as SentencePiece does not cut them. Three quirks are Hugging Face's: its
// charsmap looks at clusters of characters, a text that spells a byte token ("<0x41>") is that, and
// a text of spaces alone gets one more.
void describe_unigram(const TokenizerData& data, ordered_json& json) {
  const VocabularyData& vocabulary = data.vocabulary;
  if (!vocabulary.scores) fail("a Unigram tokenizer without scores");
  ordered_json normalizers = ordered_json::array();
  if (!data.precompiled_charsmap.empty()) {
    normalizers.push_back({{"type", "Precompiled"},
                           {"precompiled_charsmap", encode_base64(data.precompiled_charsmap)}});
  }
  if (data.remove_extra_whitespaces.value_or(false)) {
    normalizers.push_back(replace(kOuterSpaces, "", "Regex"));
    normalizers.push_back(replace(" {2,}", " ", "Regex"));
  }
  describe_spaces(data.add_space_prefix.value_or(false), std::move(normalizers), json);
  // An unknown character costs more than the least likely entry, of which control tokens are none.
  double lowest = 0;
  for (size_t id = 0; id < vocabulary.texts.size(); ++id) {
    if (type_of(vocabulary, id) == TokenType::kNormal)
      lowest = std::min(lowest, vocabulary.scores->at(id));
  }
  bool has_bytes = false;
  ordered_json list = ordered_json::array();
  for (size_t id = 0; id < vocabulary.texts.size(); ++id) {
    const std::string& text = vocabulary.texts[id];
    if (!is_valid_utf8(text)) fail("token {} is no UTF-8, which tokenizer.json has to be", id);
    has_bytes |= type_of(vocabulary, id) == TokenType::kByte;
    list.push_back({text, std::max(vocabulary.scores->at(id), lowest)});
  }
  const int64_t unknown = vocabulary.unknown_token_id.value_or(2);  // as T5 has it
  json["model"] = {{"type", "Unigram"},
                   {"unk_id", unknown < 0 ? ordered_json() : ordered_json(unknown)},
                   {"vocab", list},
                   {"byte_fallback", has_bytes}};
}

}  // namespace

ordered_json write_tokenizer_json(const TokenizerData& data) {
  if (data.pipeline) fail("a tokenizer.json is not written from one that was read");
  ordered_json json = {{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}};
  json["added_tokens"] = added_tokens(data.vocabulary);
  switch (data.kind) {
    case TokenizerKind::kBytePair:
      describe_byte_pairs(data, json);
      break;
    case TokenizerKind::kSentencePiece:
      describe_sentencepiece(data, json);
      break;
    case TokenizerKind::kUnigram:
      describe_unigram(data, json);
      break;
    case TokenizerKind::kWordPiece:
      break;  // has a pipeline
  }
  json["post_processor"] = post_processor(data);
  return json;
}

ordered_json write_tokenizer_config(const TokenizerData& data) {
  const VocabularyData& vocabulary = data.vocabulary;
  ordered_json json = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                       {"clean_up_tokenization_spaces", false},
                       {"add_bos_token", adds_bos(data)},
                       {"add_eos_token", adds_eos(data)}};
  for (const auto& [key, id] : {std::pair("bos_token", vocabulary.bos_token_id),
                                std::pair("eos_token", vocabulary.eos_token_id),
                                std::pair("unk_token", vocabulary.unknown_token_id),
                                std::pair("pad_token", vocabulary.padding_token_id)}) {
    if (id && *id >= 0 && static_cast<size_t>(*id) < vocabulary.texts.size())
      json[key] = vocabulary.texts[static_cast<size_t>(*id)];
  }
  return json;
}

std::vector<int64_t> end_tokens(const VocabularyData& vocabulary) {
  std::vector<int64_t> ends;
  const auto add = [&](int64_t id) {
    if (id >= 0 && std::ranges::find(ends, id) == ends.end()) ends.push_back(id);
  };
  add(vocabulary.eos_token_id.value_or(-1));
  add(vocabulary.eot_token_id.value_or(-1));
  add(vocabulary.eom_token_id.value_or(-1));
  for (const int64_t id : vocabulary.end_token_ids) add(id);
  return ends;
}

}  // namespace tessera::huggingface
