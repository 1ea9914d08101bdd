// What a folder says of its tokenizer and its chat templates, and what it may not say.
#include "files/huggingface/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "files/gguf/tokenizer.h"
#include "support/error_of.h"
#include "support/temp_folder.h"

namespace tessera {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Byte-level BPE of four entries and three added tokens.
json small_tokenizer() {
  return json::parse(R"({
    "version": "1.0",
    "added_tokens": [
      {"id": 4, "content": "<s>", "special": true, "normalized": false,
       "single_word": false, "lstrip": false, "rstrip": false},
      {"id": 5, "content": "</s>", "special": true, "normalized": false,
       "single_word": false, "lstrip": false, "rstrip": false},
      {"id": 6, "content": "<tool>", "special": false, "normalized": false,
       "single_word": false, "lstrip": false, "rstrip": true}],
    "normalizer": null,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true},
    "post_processor": {"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
      "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [4], "tokens": ["<s>"]}}},
    "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "abb": 3},
              "merges": ["a b", ["ab", "b"]]}})");
}

class Folder {
 public:
  Folder& put(std::string_view name, const json& content) {
    folder_.write(name, content.dump());
    return *this;
  }
  Folder& put_text(std::string_view name, std::string_view content) {
    std::filesystem::create_directories((folder_ / name).parent_path());
    folder_.write(name, content);
    return *this;
  }
  TokenizerData read() const { return huggingface::read_tokenizer(folder_.path()); }
  std::string error() const {
    return error_of([&] { read(); });
  }
  ChatTemplates templates() const { return huggingface::read_chat_templates(folder_.path()); }

 private:
  test::TempFolder folder_;
};

TEST(HuggingFaceTokenizer, ReadsTheVocabulary) {
  const TokenizerData data = Folder().put("tokenizer.json", small_tokenizer()).read();
  EXPECT_EQ(data.kind, TokenizerKind::kBytePair);
  EXPECT_THAT(data.vocabulary.texts, ElementsAre("a", "b", "ab", "abb", "<s>", "</s>", "<tool>"));
  EXPECT_THAT(
      *data.vocabulary.types,
      ElementsAre(TokenType::kNormal, TokenType::kNormal, TokenType::kNormal, TokenType::kNormal,
                  TokenType::kControl, TokenType::kControl, TokenType::kUserDefined));
  EXPECT_THAT(*data.merges, ElementsAre("a b", "ab b"));
  EXPECT_EQ(data.vocabulary.pre_tokenizer, "gpt-2");
  EXPECT_TRUE(data.pipeline->is_named);
  EXPECT_TRUE(data.pipeline->added_tokens[2].strips_right);
}

TEST(HuggingFaceTokenizer, TakesTheBeginningFromThePostProcessor) {
  const TokenizerData data = Folder().put("tokenizer.json", small_tokenizer()).read();
  EXPECT_EQ(data.vocabulary.bos_token_id, 4);
  EXPECT_EQ(data.vocabulary.add_bos_token, true);
  EXPECT_EQ(data.vocabulary.add_eos_token, false);
  EXPECT_EQ(data.vocabulary.eos_token_id, -1);
}

TEST(HuggingFaceTokenizer, LetsTokenizerConfigDecideWhatIsAdded) {
  Folder folder;
  folder.put("tokenizer.json", small_tokenizer());
  folder.put("tokenizer_config.json", {{"add_bos_token", false},
                                       {"add_eos_token", true},
                                       {"bos_token", "<s>"},
                                       {"eos_token", {{"content", "</s>"}, {"lstrip", false}}},
                                       {"pad_token", "a"},
                                       {"unk_token", nullptr}});
  const VocabularyData vocabulary = folder.read().vocabulary;
  EXPECT_EQ(vocabulary.bos_token_id, 4);
  EXPECT_EQ(vocabulary.eos_token_id, 5);
  EXPECT_EQ(vocabulary.padding_token_id, 0);
  EXPECT_EQ(vocabulary.unknown_token_id, -1);
  EXPECT_EQ(vocabulary.add_bos_token, false);
  EXPECT_EQ(vocabulary.add_eos_token, true);
  EXPECT_EQ((*vocabulary.types)[0], TokenType::kControl);  // a role makes it one
}

TEST(HuggingFaceTokenizer, TakesTheEndsOfATurnFromTheGeneration) {
  Folder folder;
  folder.put("tokenizer.json", small_tokenizer());
  folder.put("config.json", {{"eos_token_id", 0}, {"bos_token_id", 4}});
  EXPECT_EQ(folder.read().vocabulary.eos_token_id, 0);
  folder.put("generation_config.json", {{"eos_token_id", {5, 1, 2, 3, 99}}});
  const VocabularyData vocabulary = folder.read().vocabulary;
  EXPECT_EQ(vocabulary.eos_token_id, 5);
  EXPECT_EQ(vocabulary.eot_token_id, 1);
  EXPECT_EQ(vocabulary.eom_token_id, 2);
  EXPECT_THAT(vocabulary.end_token_ids, ElementsAre(3));  // there is no 99
}

TEST(HuggingFaceTokenizer, LeavesARoleToNobodyThatIsNull) {
  Folder folder;
  json tokenizer = small_tokenizer();
  tokenizer["post_processor"] = nullptr;
  folder.put("tokenizer.json", tokenizer);
  folder.put("config.json", {{"bos_token_id", 4}, {"eos_token_id", 5}});
  EXPECT_EQ(folder.read().vocabulary.bos_token_id, 4);
  folder.put("tokenizer_config.json", {{"bos_token", nullptr}, {"eos_token", nullptr}});
  EXPECT_EQ(folder.read().vocabulary.bos_token_id, -1);
  EXPECT_EQ(folder.read().vocabulary.eos_token_id, 5);  // something has to end a text
}

TEST(HuggingFaceTokenizer, LetsAddedTokensDecoderHaveTheLastWordOnFlags) {
  Folder folder;
  folder.put("tokenizer.json", small_tokenizer());
  folder.put("tokenizer_config.json",
             {{"added_tokens_decoder",
               {{"6", {{"content", "<tool>"}, {"special", true}, {"rstrip", false}}},
                {"9", {{"content", "<late>"}, {"special", false}}}}}});
  const TokenizerData data = folder.read();
  EXPECT_EQ((*data.vocabulary.types)[6], TokenType::kControl);
  EXPECT_FALSE(data.pipeline->added_tokens[2].strips_right);
  EXPECT_EQ(data.vocabulary.texts[9], "<late>");
  EXPECT_EQ(data.vocabulary.texts[7], "[PAD7]");
  EXPECT_EQ((*data.vocabulary.types)[7], TokenType::kUnused);
}

TEST(HuggingFaceTokenizer, FillsHoles) {
  json tokenizer = small_tokenizer();
  tokenizer["model"]["vocab"] = {{"a", 0}, {"b", 1}, {"ab", 3}, {"abb", 5}, {"[PAD2]", 6}};
  tokenizer["added_tokens"] = json::array();
  tokenizer["post_processor"] = nullptr;
  const TokenizerData data = Folder().put("tokenizer.json", tokenizer).read();
  EXPECT_THAT(data.vocabulary.texts,
              ElementsAre("a", "b", "[PAD2]_", "ab", "[PAD4]", "abb", "[PAD2]"));
}

// However they double: each hole would make room for the next.
TEST(HuggingFaceTokenizer, HolesDoNotAddUp) {
  json tokenizer = small_tokenizer();
  json& vocabulary = tokenizer["model"]["vocab"];
  for (int64_t id = 65535, i = 0; i < 14; ++i, id = 2 * id + 65537)
    vocabulary["x" + std::to_string(i)] = id;
  EXPECT_THAT(Folder().put("tokenizer.json", tokenizer).error(), HasSubstr("is far beyond"));
  Folder folder;
  folder.put("tokenizer.json", small_tokenizer());
  json added = json::object();
  for (int64_t id = 65535, i = 0; i < 12; ++i, id = 2 * id + 65537)
    added[std::to_string(id)] = {{"content", "y" + std::to_string(i)}, {"special", false}};
  folder.put("tokenizer_config.json", {{"added_tokens_decoder", added}});
  EXPECT_THAT(folder.error(), HasSubstr("is far beyond"));
}

// Each a change of the small tokenizer, and what is said of it.
struct Mistake {
  std::string pointer;
  std::string value;  // JSON
  std::string said;
};

TEST(HuggingFaceTokenizer, SaysInOneLineWhatIsWrong) {
  const std::string added = R"({"content": "<x>", "special": true, "id": )";
  const std::vector<Mistake> mistakes = {
      {"/model/type", R"("WordLevel")", "'WordLevel' is not supported"},
      {"/model/type", R"("WordLevel")", "'WordLevel' is not supported"},
      {"/model", "null", "'model' is missing"},
      {"/model", "[]", "expected an object"},
      {"/model/vocab", "{}", "'vocab' is empty"},
      {"/model/vocab", "[]", "expected an object"},
      {"/model/vocab/b", "0", "the id 0 is that of"},
      {"/model/vocab/b", "-1", "expected a number"},
      {"/model/vocab/b", "1.5", "expected a number"},
      {"/model/vocab/b", "2000000000", "far beyond"},
      {"/model/vocab/b", "18446744073709551615", "expected a number"},
      {"/model/merges", "null", "'merges': expected a list"},
      {"/model/merges/0", R"("ab")", "no"},
      {"/model/merges/0", R"("a b c")", "are not two tokens"},
      {"/model/merges/0", R"(["a"])", "is no pair"},
      {"/model/merges/0", "7", "is no pair"},
      {"/model/dropout", "0.1", "random"},
      {"/model/unk_token", R"("?")", "lacks the unknown token '?'"},
      {"/model/end_of_word_suffix", R"("</w>")", "end_of_word_suffix"},
      {"/model/continuing_subword_prefix", R"("##")", "continuing_subword_prefix"},
      {"/normalizer", R"({"type": "Odd"})", "'Odd' is not supported"},
      {"/normalizer", R"({"type": "Replace", "pattern": {}, "content": ""})", "'pattern'"},
      {"/normalizer", R"({"type": "Precompiled", "precompiled_charsmap": "?"})", "base64"},
      {"/normalizer", R"("NFC")", "expected an object"},
      {"/pre_tokenizer", R"({"type": "UnicodeScripts"})", "'UnicodeScripts' is not supported"},
      {"/pre_tokenizer", R"({"type": "Split", "pattern": {"Regex": "a"}, "behavior": "Eaten",
                            "invert": false})",
       "'Eaten' is unknown"},
      {"/pre_tokenizer", R"({"type": "Metaspace", "replacement": "_"})", "U+2581"},
      {"/post_processor", R"({"type": "Odd"})", "'Odd' is not supported"},
      {"/post_processor/single", R"([])", "leaves the text out"},
      {"/post_processor/special_tokens", "{}", "lacks '<s>'"},
      {"/post_processor/special_tokens/<s>/ids", "[4, 5]", "puts 2 tokens before a text"},
      {"/post_processor/special_tokens/<s>/ids", "[77]", "none of the vocabulary"},
      {"/decoder", R"({"type": "Odd"})", "'Odd' is not supported"},
      {"/added_tokens", "{}", "expected a list"},
      {"/added_tokens/0", "7", "no object"},
      {"/added_tokens/0", added + "9}", "expected 4, the next one that is free"},
      {"/added_tokens/0", added + "1}", "expected 4"},
      {"/added_tokens/0", R"({"content": "ab", "special": true, "id": 3})", "2 in the vocabulary"},
  };
  for (const Mistake& mistake : mistakes) {
    json tokenizer = small_tokenizer();
    tokenizer[json::json_pointer(mistake.pointer)] = json::parse(mistake.value);
    const std::string error = Folder().put("tokenizer.json", tokenizer).error();
    EXPECT_THAT(error, HasSubstr(mistake.said)) << mistake.pointer << " " << mistake.value;
    EXPECT_THAT(error, HasSubstr("tokenizer.json': ")) << mistake.pointer;
    EXPECT_EQ(error.find('\n'), std::string::npos) << error;
  }
}

TEST(HuggingFaceTokenizer, SaysWhatIsWrongInTheOtherFiles) {
  const auto error_with = [](const char* name, const json& content) {
    return Folder().put("tokenizer.json", small_tokenizer()).put(name, content).error();
  };
  EXPECT_THAT(error_with("tokenizer_config.json", {{"split_special_tokens", true}}),
              HasSubstr("split_special_tokens is not supported"));
  EXPECT_THAT(error_with("tokenizer_config.json", {{"bos_token", 7}}),
              HasSubstr("expected a token"));
  EXPECT_THAT(error_with("tokenizer_config.json", {{"bos_token", "a"}}),
              HasSubstr("puts '<s>' before a text, which is not the bos_token"));
  EXPECT_THAT(error_with("tokenizer_config.json",
                         {{"added_tokens_decoder", {{"5", {{"content", "<s>"}}}}}}),
              HasSubstr("has the id 5, and 4 in the vocabulary"));
  EXPECT_THAT(error_with("tokenizer_config.json",
                         {{"added_tokens_decoder", {{"999999999", {{"content", "<x>"}}}}}}),
              HasSubstr("far beyond"));
  EXPECT_THAT(error_with("tokenizer_config.json", {{"added_tokens_decoder", {{"x", json()}}}}),
              HasSubstr("'x' is no id"));
  EXPECT_THAT(error_with("generation_config.json", {{"eos_token_id", "</s>"}}),
              HasSubstr("expected an id"));
  EXPECT_THAT(Folder().error(), HasSubstr("neither a tokenizer.json nor a tokenizer.model"));
}

TEST(HuggingFaceTokenizer, RefusesKeysThatComeTwiceAndDeepNests) {
  EXPECT_THAT(Folder().put_text("tokenizer.json", R"({"model": 1, "model": 2})").error(),
              HasSubstr("twice"));
  const std::string deep = R"({"a":)" + std::string(5000, '[');
  EXPECT_THAT(Folder().put_text("tokenizer.json", deep).error(), HasSubstr("tokenizer.json'"));
}

// The bytes of a protobuf field.
std::string field(int number, std::string_view bytes) {
  std::string message(1, static_cast<char>(number << 3 | 2));
  message += static_cast<char>(bytes.size());
  return message.append(bytes);
}
std::string field(int number, uint8_t value) {
  std::string key;
  for (int rest = number << 3; rest > 0; rest >>= 7)
    key += static_cast<char>((rest & 127) | (rest > 127 ? 128 : 0));
  return key + static_cast<char>(value);
}
std::string piece(std::string_view text, uint8_t type) {
  const float score = -1.5f;
  std::string bytes = field(1, text) + "\x15";
  bytes.append(reinterpret_cast<const char*>(&score), 4);
  return field(1, bytes + field(3, type));
}
std::string small_model() {
  return piece("<unk>", 2) + piece("<s>", 3) + piece("</s>", 3) + piece("\u2581a", 1) +
         piece("<b>", 4) + field(2, field(3, uint8_t{2}) + field(35, uint8_t{1})) +
         field(3, field(4, uint8_t{0}));
}

TEST(HuggingFaceTokenizer, ReadsASentencePieceModel) {
  const TokenizerData data = Folder().put_text("tokenizer.model", small_model()).read();
  EXPECT_EQ(data.kind, TokenizerKind::kSentencePiece);
  EXPECT_THAT(data.vocabulary.texts, ElementsAre("<unk>", "<s>", "</s>", "\u2581a", "<b>"));
  EXPECT_THAT(*data.vocabulary.types,
              ElementsAre(TokenType::kUnknown, TokenType::kControl, TokenType::kControl,
                          TokenType::kNormal, TokenType::kUserDefined));
  EXPECT_THAT(*data.vocabulary.scores, ElementsAre(-1.5, -1.5, -1.5, -1.5, -1.5));
  EXPECT_EQ(data.vocabulary.bos_token_id, 1);
  EXPECT_EQ(data.vocabulary.eos_token_id, 2);
  EXPECT_EQ(data.vocabulary.add_bos_token, true);
  EXPECT_TRUE(data.pipeline->byte_fallback);
  EXPECT_EQ(data.pipeline->normalizer.size(), 2u);  // a space before, and spaces marked
}

TEST(HuggingFaceTokenizer, RefusesBrokenSentencePieceModels) {
  const std::string model = small_model();
  for (size_t size = 0; size < model.size(); ++size) {
    const std::string error = Folder().put_text("tokenizer.model", model.substr(0, size)).error();
    // Between two pieces is the end of a model, too.
    EXPECT_TRUE(error == "(no error)" || error.find("tokenizer.model': ") != std::string::npos)
        << error;
  }
  const auto error = [](const std::string& bytes) {
    return Folder().put_text("tokenizer.model", bytes).error();
  };
  EXPECT_THAT(error(""), HasSubstr("no pieces"));
  EXPECT_THAT(error("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), HasSubstr("does not fit"));
  EXPECT_THAT(error(std::string(20, '\xff')), HasSubstr("more than ten bytes"));
  EXPECT_THAT(error("\x0b"), HasSubstr("wire type 3"));
  EXPECT_THAT(error(piece("\xff", 1)), HasSubstr("no UTF-8"));
  EXPECT_THAT(error(piece("a", 9)), HasSubstr("unknown type 9"));
  EXPECT_THAT(error(piece("a", 1) + piece("a", 1)), HasSubstr("has the ids 0 and 1"));
  EXPECT_THAT(error(model + field(2, field(3, uint8_t{3}))), HasSubstr("words or characters"));
}

TEST(HuggingFaceChatTemplates, TakesTheNewerFilesFirst) {
  Folder folder;
  EXPECT_FALSE(folder.templates().standard);
  folder.put("tokenizer_config.json", {{"chat_template", "config"}});
  EXPECT_EQ(folder.templates().standard, "config");
  folder.put("tokenizer_config.json", {{"chat_template",
                                        {{{"name", "default"}, {"template", "listed"}},
                                         {{"name", "tool_use"}, {"template", "tools"}}}}});
  EXPECT_EQ(folder.templates().standard, "listed");
  EXPECT_EQ(folder.templates().named.at("tool_use"), "tools");
  folder.put("chat_template.json", {{"chat_template", "json"}});
  EXPECT_EQ(folder.templates().standard, "json");
  EXPECT_THAT(folder.templates().named, IsEmpty());
  folder.put_text("chat_template.jinja", "jinja");
  EXPECT_EQ(folder.templates().standard, "jinja");
  folder.put_text("additional_chat_templates/rag.jinja", "documents");
  EXPECT_EQ(folder.templates().named.at("rag"), "documents");
}

TEST(HuggingFaceChatTemplates, SaysWhatIsWrong) {
  const auto error_with = [](const char* name, const std::string& content) {
    Folder folder;
    folder.put_text(name, content);
    return error_of([&] { folder.templates(); });
  };
  EXPECT_THAT(error_with("tokenizer_config.json", R"({"chat_template": 7})"),
              HasSubstr("expected a text or a list"));
  EXPECT_THAT(error_with("tokenizer_config.json", R"({"chat_template": [{"name": "a"}]})"),
              HasSubstr("expected names and templates"));
  EXPECT_THAT(error_with("chat_template.jinja", "\xff"), HasSubstr("no UTF-8"));
  EXPECT_THAT(error_with("chat_template.jinja", std::string(5 << 20, 'x')),
              HasSubstr("chat_template.jinja'"));
}

TEST(GgufTokenizer, IsReadAsItWasWritten) {
  TokenizerData data;
  data.kind = TokenizerKind::kUnigram;
  data.vocabulary.texts = {"<unk>", "a", "</s>"};
  data.vocabulary.types = {TokenType::kUnknown, TokenType::kNormal, TokenType::kControl};
  data.vocabulary.scores = {0, -1.5, 0};
  data.vocabulary.bos_token_id = -1;
  data.vocabulary.eos_token_id = 2;
  data.vocabulary.add_eos_token = true;
  data.add_space_prefix = true;
  data.precompiled_charsmap = std::string("\x04\0\0\0\xff\x80", 6);
  ChatTemplates templates;
  templates.standard = "{{ x }}";
  templates.named["tool_use"] = "{{ y }}";
  GgufMetadata metadata;
  EXPECT_THAT(gguf::write_tokenizer(data, templates, metadata), IsEmpty());
  const TokenizerData back = gguf::read_tokenizer(metadata);
  EXPECT_EQ(back.kind, data.kind);
  EXPECT_EQ(back.vocabulary.texts, data.vocabulary.texts);
  EXPECT_EQ(back.vocabulary.types, data.vocabulary.types);
  EXPECT_EQ(back.vocabulary.scores, data.vocabulary.scores);
  EXPECT_EQ(back.vocabulary.bos_token_id, -1);
  EXPECT_EQ(back.vocabulary.eos_token_id, 2);
  EXPECT_EQ(back.vocabulary.padding_token_id, std::nullopt);
  EXPECT_EQ(back.vocabulary.add_bos_token, std::nullopt);
  EXPECT_EQ(back.vocabulary.add_eos_token, true);
  EXPECT_EQ(back.add_space_prefix, true);
  EXPECT_EQ(back.remove_extra_whitespaces, std::nullopt);
  EXPECT_EQ(back.precompiled_charsmap, data.precompiled_charsmap);
  const ChatTemplates back_templates = gguf::read_chat_templates(metadata);
  EXPECT_EQ(back_templates.standard, templates.standard);
  EXPECT_EQ(back_templates.named, templates.named);
}

TEST(GgufTokenizer, SaysWhatItsKeysCannot) {
  Folder folder;
  json tokenizer = small_tokenizer();
  GgufMetadata metadata;
  folder.put("tokenizer.json", tokenizer);
  EXPECT_THAT(gguf::write_tokenizer(folder.read(), {}, metadata, 10),
              ElementsAre(HasSubstr("1 added tokens lose")));
  EXPECT_EQ(metadata.get_strings("tokenizer.ggml.tokens")->size(), 10u);
  EXPECT_EQ(metadata.get_strings("tokenizer.ggml.tokens")->back(), "[PAD9]");
  EXPECT_EQ(metadata.get_string("tokenizer.ggml.pre"), "gpt-2");
  tokenizer["normalizer"] = {{"type", "NFC"}};
  tokenizer["pre_tokenizer"] = json::parse(
      R"({"type": "Sequence", "pretokenizers": [
          {"type": "Split", "pattern": {"Regex": "x\\p{N}{1,3}"}, "behavior": "Isolated", "invert": false},
          {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]})");
  tokenizer["added_tokens"][2]["rstrip"] = false;
  folder.put("tokenizer.json", tokenizer);
  EXPECT_THAT(gguf::write_tokenizer(folder.read(), {}, metadata),
              ElementsAre(HasSubstr("not normalized"), HasSubstr("'dbrx', the nearest")));
}

// llama.cpp's kind of vocabulary has scores for merges.
TEST(GgufTokenizer, ScoresMerges) {
  json tokenizer = small_tokenizer();
  tokenizer["pre_tokenizer"] = nullptr;
  tokenizer["decoder"] = json::parse(R"({"type": "Fuse"})");
  tokenizer["normalizer"] = json::parse(R"({"type": "Prepend", "prepend": "\u2581"})");
  GgufMetadata metadata;
  const TokenizerData data = Folder().put("tokenizer.json", tokenizer).read();
  EXPECT_EQ(data.kind, TokenizerKind::kSentencePiece);
  gguf::write_tokenizer(data, {}, metadata);
  const TokenizerData back = gguf::read_tokenizer(metadata);
  EXPECT_EQ((*back.vocabulary.scores)[2], 0);
  EXPECT_EQ((*back.vocabulary.scores)[3], -1);
  EXPECT_EQ(back.add_space_prefix, true);
}

}  // namespace
}  // namespace tessera
