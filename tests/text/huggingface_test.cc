// Tokenizers of Hugging Face folders, against what the "tokenizers" package gives
// (tests/tools/make_tokenizer_goldens.py).
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/utf8.h"
#include "files/gguf/tokenizer.h"
#include "files/huggingface/tokenizer.h"
#include "files/huggingface/write_tokenizer.h"
#include "paths.h"
#include "support/temp_folder.h"
#include "text/tokenizer.h"

namespace tessera {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

const fs::path kGoldens = fs::path(TESSERA_TEST_DATA) / "tokenizers";

json read_json(const fs::path& path) {
  std::ifstream file(path);
  return json::parse(file);
}

// A tokenizer.json, put together from its vocabulary and the rest.
json whole_tokenizer(const std::string& name) {
  json tokenizer = read_json(kGoldens / (name + ".json"));
  const json flags = tokenizer["model"];
  json model = read_json(kGoldens / "models" / (flags["vocabulary"].get<std::string>() + ".json"));
  for (const auto& [key, value] : flags.items()) {
    if (key != "vocabulary" && key != "merges") model[key] = value;
  }
  if (flags.contains("merges")) {  // as texts
    for (json& merge : model["merges"])
      merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
  }
  tokenizer["model"] = model;
  return tokenizer;
}

std::unique_ptr<const Tokenizer> open_tokenizer(const json& tokenizer) {
  const test::TempFolder folder;
  folder.write("tokenizer.json", tokenizer.dump());
  return Tokenizer::make(huggingface::read_tokenizer(folder.path()));
}

std::vector<std::string> read_texts() {
  std::vector<std::string> texts;
  for (const fs::path& path :
       {fs::path(TESSERA_TEST_DATA) / "hard_text.jsonl", kGoldens / "random_text.jsonl"}) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);)
      texts.push_back(json::parse(line).get<std::string>());
  }
  return texts;
}

std::string hash_of(std::string_view bytes) {
  uint64_t value = 0xcbf29ce484222325;
  for (const char byte : bytes) value = (value ^ static_cast<uint8_t>(byte)) * 0x100000001b3;
  return fmt::format("{:08x}", value & 0xffffffff);
}

std::string numbers(const std::vector<Token>& tokens) {
  return fmt::format("{}", fmt::join(tokens, " "));
}

// As the package shows bytes that are no text: a mark for each beginning of a character.
std::string repaired(std::string_view bytes) {
  std::string text;
  while (!bytes.empty()) {
    const Utf8Prefix prefix = inspect_utf8(bytes);
    text += prefix.kind == Utf8Prefix::Kind::kComplete ? bytes.substr(0, prefix.length)
                                                       : kReplacementCharacter;
    bytes.remove_prefix(prefix.length);
  }
  return text;
}

class HuggingFaceTokenizer : public ::testing::TestWithParam<std::string> {};

TEST_P(HuggingFaceTokenizer, GivesTheIdsOfThePackage) {
  const auto tokenizer = open_tokenizer(whole_tokenizer(GetParam()));
  std::ifstream golden(kGoldens / (GetParam() + ".txt"));
  std::string line;
  ASSERT_TRUE(std::getline(golden, line));
  EXPECT_EQ(numbers(tokenizer->encode("Hello world")), line);
  for (const std::string& text : read_texts()) {
    ASSERT_TRUE(std::getline(golden, line));
    std::istringstream words(line);
    std::string ids, letters, decoded;
    words >> ids >> letters >> decoded;
    const auto tokens = tokenizer->encode(text, {.add_special = false});
    EXPECT_EQ(hash_of(numbers(tokens)), ids) << json(text) << ": " << numbers(tokens);
    if (letters != hash_of("")) {
      const auto plain = tokenizer->encode(text, {.add_special = false, .parse_special = false});
      EXPECT_EQ(hash_of(numbers(plain)), letters) << json(text) << ": " << numbers(plain);
    }
    const std::string back = repaired(tokenizer->decode(tokens));
    if (decoded != hash_of("")) {
      EXPECT_EQ(hash_of(back), decoded) << json(text) << ": " << json(back);
    }
  }
  EXPECT_FALSE(std::getline(golden, line));
}

// As far as GGUF's keys can say it all; llama.cpp's expressions differ for rare characters, and
// what becomes of spaces in a row or at the ends is one flag there.
bool is_plain(const std::string& text) {
  return text.find("  ") == std::string::npos && !text.starts_with(' ') && !text.ends_with(' ') &&
         std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~' && c != '<'; });
}

TEST_P(HuggingFaceTokenizer, IsTheSameInGgufForPlainTexts) {
  const test::TempFolder folder;
  folder.write("tokenizer.json", whole_tokenizer(GetParam()).dump());
  const TokenizerData data = huggingface::read_tokenizer(folder.path());
  GgufMetadata metadata;
  if (!gguf::write_tokenizer(data, {}, metadata).empty()) return;
  const auto first = Tokenizer::make(data),
             second = Tokenizer::make(gguf::read_tokenizer(metadata));
  for (const std::string& text : read_texts()) {
    if (!is_plain(text)) continue;
    EXPECT_EQ(numbers(first->encode(text)), numbers(second->encode(text))) << json(text);
    EXPECT_EQ(first->decode(first->encode(text)), second->decode(second->encode(text)));
  }
}

// What GGUF says of a Unigram tokenizer, as a folder's. Hugging Face's own ways differ where
// characters form clusters, and where a text spells a byte token or has no words.
TEST(WrittenTokenizer, IsThatOfGgufsUnigram) {
  for (const char* name : {"t5", "unigram_bytes"}) {
    const test::TempFolder source, folder;
    source.write("tokenizer.json", whole_tokenizer(name).dump());
    GgufMetadata metadata;
    gguf::write_tokenizer(huggingface::read_tokenizer(source.path()), {}, metadata);
    const TokenizerData data = gguf::read_tokenizer(metadata);
    folder.write("tokenizer.json", huggingface::write_tokenizer_json(data).dump());
    folder.write("tokenizer_config.json", huggingface::write_tokenizer_config(data).dump());
    const auto first = Tokenizer::make(data),
               second = Tokenizer::make(huggingface::read_tokenizer(folder.path()));
    for (const std::string& text : read_texts()) {
      const bool is_ascii = std::ranges::all_of(text, [](char c) { return c > 0; });
      const bool has_words = text.find_first_not_of(' ') != std::string::npos;
      if (!is_ascii || !has_words || text.find("<0x") != std::string::npos) continue;
      EXPECT_EQ(numbers(first->encode(text)), numbers(second->encode(text)))
          << name << " " << json(text);
    }
  }
}

// All that Gemma's tokenizer.json says, but for added tokens' flags, its GGUF files imply.
TEST(WrittenTokenizer, OfGemma4IsThatOfItsFolder) {
  const test::TempFolder folder;
  json whole = whole_tokenizer("gemma");
  // In Gemma's own, runs of newlines are added tokens; in this small one, merges make them.
  for (const auto& [token, id] : whole["model"]["vocab"].items()) {
    if (token.size() < 2 || token.find_first_not_of('\n') != std::string::npos) continue;
    whole["added_tokens"].push_back({{"id", id}, {"content", token}, {"normalized", false}});
  }
  folder.write("tokenizer.json", whole.dump());
  const TokenizerData data = huggingface::read_tokenizer(folder.path());
  GgufMetadata metadata;
  metadata.set("general.architecture", {std::string("gemma4")});
  gguf::write_tokenizer(data, {}, metadata);
  EXPECT_EQ(metadata.get_string("tokenizer.ggml.model"), "gemma4");
  const auto first = Tokenizer::make(data),
             second = Tokenizer::make(gguf::read_tokenizer(metadata));
  for (const std::string& text : read_texts()) {
    for (const bool special : {true, false}) {
      const EncodeOptions options = {.add_special = false, .parse_special = special};
      EXPECT_EQ(numbers(first->encode(text, options)), numbers(second->encode(text, options)))
          << json(text);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, HuggingFaceTokenizer,
                         ::testing::Values("behaviours", "bert", "bert_cased", "bert_short_words",
                                           "byte_normalizer", "deepseek3", "deepseek_coder",
                                           "falcon", "flags", "fused_unknown", "gemma", "gpt2",
                                           "gpt2_prefix", "gpt4o", "llama2", "llama3", "mistral",
                                           "qwen2", "smollm", "t5", "unigram_bytes", "unknown"),
                         [](const auto& name) { return name.param; });

}  // namespace
}  // namespace tessera
