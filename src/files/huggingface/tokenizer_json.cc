#include "files/huggingface/tokenizer_json.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "files/huggingface/config_reader.h"
#include "files/huggingface/pre_tokenizer_names.h"

namespace tessera::huggingface {
namespace {

using nlohmann::json;

const json kNull;

const json& part(const json& object, std::string_view key) {
  const json* found = ConfigReader(object).find(key);
  return found == nullptr ? kNull : *found;
}

// Old files do not name it.
std::string type_of_model(const json& model) {
  if (const auto type = ConfigReader(model).text("type")) return *type;
  if (part(model, "vocab").is_array()) return "Unigram";
  if (part(model, "merges").is_array()) return "BPE";
  return part(model, "max_input_chars_per_word").is_null() ? "WordLevel" : "WordPiece";
}

int64_t read_id(const json& id, std::string_view text) {
  if (!id.is_number_unsigned() || id.get<uint64_t>() > INT32_MAX)
    fail("the id of '{}' is {}, expected a number", printable(text), printable(id.dump(), 40));
  return id.get<int64_t>();
}

bool is_byte_token(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  return text.size() == 6 && text.starts_with("<0x") && text.ends_with('>') &&
         kHex.find(text[3]) != std::string_view::npos &&
         kHex.find(text[4]) != std::string_view::npos;
}

// Pairs of texts, or texts with a space between; those may be what merges.txt begins with.
std::vector<std::string> read_merges(const json& list) {
  if (!list.is_array()) fail("'merges': expected a list");
  std::vector<std::string> merges;
  merges.reserve(list.size());
  for (const json& merge : list) {
    if (merge.is_string()) {
      const auto& both = merge.get_ref<const std::string&>();
      if (both.starts_with("#version")) continue;
      if (std::count(both.begin(), both.end(), ' ') != 1)
        fail("'merges': '{}' are not two tokens with a space between", printable(both));
      merges.push_back(both);
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
               merge[1].is_string()) {
      merges.push_back(merge[0].get_ref<const std::string&>() + ' ' +
                       merge[1].get_ref<const std::string&>());
    } else {
      fail("'merges': {} is no pair of tokens", printable(merge.dump(), 60));
    }
  }
  return merges;
}

void refuse_affix(const json& model, std::string_view key) {
  if (const auto affix = ConfigReader(model).text(key); affix && !affix->empty())
    fail("BPE with the {} '{}' is not supported", key, printable(*affix));
}

void read_bpe(const json& model, TokenizerFile& file) {
  const ConfigReader reader(model);
  TextPipeline& pipeline = *file.data.pipeline;
  pipeline.ignores_merges = reader.boolean("ignore_merges").value_or(false);
  pipeline.byte_fallback = reader.boolean("byte_fallback").value_or(false);
  pipeline.fuses_unknown = reader.boolean("fuse_unk").value_or(false);
  if (reader.number("dropout").value_or(0) != 0)
    fail("BPE with a dropout is not supported: its ids are random");
  refuse_affix(model, "continuing_subword_prefix");
  refuse_affix(model, "end_of_word_suffix");
  const json* vocabulary = reader.object("vocab");
  if (vocabulary == nullptr) fail("'vocab' is missing");
  const std::string unknown = reader.text("unk_token").value_or("");
  file.vocabulary.expect(vocabulary->size());
  for (const auto& [text, id] : vocabulary->items()) {
    TokenType type = TokenType::kNormal;
    if (pipeline.byte_fallback && is_byte_token(text)) type = TokenType::kByte;
    if (text == unknown && file.data.kind == TokenizerKind::kSentencePiece)
      type = TokenType::kUnknown;
    file.vocabulary.add(read_id(id, text), text, type);
  }
  if (!unknown.empty()) {
    pipeline.unknown_id = file.vocabulary.find(unknown);
    if (!pipeline.unknown_id) fail("'vocab' lacks the unknown token '{}'", printable(unknown));
  }
  file.data.merges = read_merges(part(model, "merges"));
}

void read_word_piece(const json& model, TokenizerFile& file) {
  const ConfigReader reader(model);
  TextPipeline& pipeline = *file.data.pipeline;
  pipeline.continuing_prefix = reader.text("continuing_subword_prefix").value_or("##");
  pipeline.longest_word = reader.integer("max_input_chars_per_word").value_or(100);
  pipeline.strips_first_space = true;
  const json* vocabulary = reader.object("vocab");
  if (vocabulary == nullptr) fail("'vocab' is missing");
  const std::string unknown = reader.text("unk_token").value_or("[UNK]");
  file.vocabulary.expect(vocabulary->size());
  for (const auto& [text, id] : vocabulary->items())
    file.vocabulary.add(read_id(id, text), text,
                        text == unknown ? TokenType::kUnknown : TokenType::kNormal);
  pipeline.unknown_id = file.vocabulary.find(unknown);
  if (!pipeline.unknown_id) fail("'vocab' lacks the unknown token '{}'", printable(unknown));
}

void read_unigram(const json& model, TokenizerFile& file) {
  const ConfigReader reader(model);
  TextPipeline& pipeline = *file.data.pipeline;
  pipeline.byte_fallback = reader.boolean("byte_fallback").value_or(false);
  pipeline.fuses_unknown = true;
  pipeline.unknown_id = reader.integer("unk_id");
  const json& list = part(model, "vocab");
  if (!list.is_array()) fail("'vocab': expected a list");
  file.vocabulary.expect(list.size());
  file.has_scores = true;
  int64_t id = 0;
  for (const json& entry : list) {
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number() ||
        !std::isfinite(entry[1].get<double>()))
      fail("'vocab': entry {} is no text with a score", id);
    const auto& text = entry[0].get_ref<const std::string&>();
    TokenType type = TokenType::kNormal;
    if (pipeline.byte_fallback && is_byte_token(text)) type = TokenType::kByte;
    if (id == pipeline.unknown_id) type = TokenType::kUnknown;
    file.vocabulary.add(id++, text, type, entry[1].get<double>());
  }
  if (pipeline.unknown_id.value_or(0) >= id)
    fail("'unk_id' {} is outside the vocabulary of {} tokens", *pipeline.unknown_id, id);
}

// "tokenizers" gives ids itself, one after another behind the vocabulary, and only warns where the
// file has others. Whose ids such a model was trained on is not known.
void check_added_id(const VocabularyBuilder& vocabulary, const std::string& text, int64_t id,
                    int64_t& next) {
  if (vocabulary.find(text)) return;  // add_token compares
  if (id != next)
    fail("the added token '{}' has the id {}, expected {}, the next one that is free",
         printable(text), id, next);
  ++next;
}

void read_added_tokens(const json& list, TokenizerFile& file) {
  if (list.is_null()) return;
  if (!list.is_array()) fail("'added_tokens': expected a list");
  auto next = static_cast<int64_t>(file.vocabulary.own_entries());
  for (const json& entry : list) {
    AddedToken token = read_added_token(entry);
    std::string text = ConfigReader(entry).text("content").value_or("");
    if (text.empty()) continue;
    token.id = read_id(part(entry, "id"), text);
    check_added_id(file.vocabulary, text, token.id, next);
    file.vocabulary.add_token(token, std::move(text));
  }
}

}  // namespace

AddedToken read_added_token(const json& json) {
  if (!json.is_object()) fail("an added token is no object");
  const ConfigReader reader(json);
  AddedToken token;
  token.special = reader.boolean("special").value_or(false);
  token.normalized = reader.boolean("normalized").value_or(!token.special);
  token.single_word = reader.boolean("single_word").value_or(false);
  token.strips_left = reader.boolean("lstrip").value_or(false);
  token.strips_right = reader.boolean("rstrip").value_or(false);
  return token;
}

TokenizerFile read_tokenizer_json(const json& json) {
  TokenizerFile file;
  TextPipeline& pipeline = file.data.pipeline.emplace();
  pipeline.normalizer = read_normalizer(part(json, "normalizer"));
  pipeline.words = read_pre_tokenizer(part(json, "pre_tokenizer"));
  file.around = read_post_processor(part(json, "post_processor"));
  const auto& decoder = part(json, "decoder");
  const Decoding decoding = read_decoder(decoder);
  pipeline.strips_first_space = decoding.strips_first_space;
  const bool writes_letters =
      std::ranges::any_of(
          pipeline.words,
          [](const WordStep& step) { return step.kind == WordStep::Kind::kToAlphabet; }) ||
      std::ranges::any_of(pipeline.normalizer, [](const NormalizerStep& step) {
        return step.kind == NormalizerStep::Kind::kToAlphabet;
      });
  const bool of_bytes = decoder.is_null() ? writes_letters : decoding.of_bytes;

  const nlohmann::json* model = ConfigReader(json).object("model");
  if (model == nullptr) fail("'model' is missing");
  const std::string type = type_of_model(*model);
  if (type == "BPE") {
    file.data.kind = of_bytes ? TokenizerKind::kBytePair : TokenizerKind::kSentencePiece;
    read_bpe(*model, file);
  } else if (type == "Unigram") {
    if (of_bytes) fail("a Unigram model of bytes is not supported");
    file.data.kind = TokenizerKind::kUnigram;
    read_unigram(*model, file);
  } else if (type == "WordPiece") {
    file.data.kind = TokenizerKind::kWordPiece;
    read_word_piece(*model, file);
  } else {
    fail("a tokenizer of the model '{}' is not supported, BPE, Unigram and WordPiece are",
         printable(type));
  }
  if (file.vocabulary.size() == 0) fail("'vocab' is empty");
  read_added_tokens(part(json, "added_tokens"), file);
  PreTokenizerName name = name_pre_tokenizer(file.data.kind, pipeline);
  file.data.vocabulary.pre_tokenizer = std::move(name.name);
  pipeline.is_named = name.is_exact;
  return file;
}

}  // namespace tessera::huggingface
