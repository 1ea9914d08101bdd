// Two jobs, chosen by the first byte. Even: any text through tiny tokenizers of every model; it
// must come back from them. Odd: a vocabulary made of the input, which may be refused but not
// crash.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "../text/tiny_vocabularies.h"
#include "base/error.h"
#include "base/utf8.h"
#include "text/pre_tokenizer.h"
#include "text/stream_decoder.h"
#include "text/tokenizer.h"

namespace tessera {
namespace {

using testing::Entry;

void require(bool condition, const char* what) {
  if (condition) return;
  fmt::print(stderr, "violated: {}\n", what);
  std::abort();
}

std::string stream(const Tokenizer& tokenizer, const std::vector<Token>& tokens) {
  StreamDecoder decoder(tokenizer);
  std::string text;
  for (const Token token : tokens) {
    const std::string part = decoder.push(token);
    require(is_valid_utf8(part), "a stream decoder emits whole characters");
    text += part;
  }
  return text + decoder.finish();
}

void check_ids(const Tokenizer& tokenizer, const std::vector<Token>& tokens) {
  for (const Token token : tokens) {
    require(token >= 0 && static_cast<size_t>(token) < tokenizer.vocabulary_size(),
            "ids are in range");
  }
}

std::vector<std::unique_ptr<const Tokenizer>> make_byte_level_tokenizers() {
  const std::vector<std::string> merges = {"a b",           "ab c", "\u0120 a",     "e r",
                                           "\u00C3 \u00A9", "1 2",  "\u0120 \u0120"};
  const std::vector<Entry> special = {{"<c>", 3}, {"<u>", 4}, {"\n\n", 4}, {"abc1", 1}};
  std::vector<std::unique_ptr<const Tokenizer>> tokenizers;
  for (const std::string_view pre : pre_tokenizer_names()) {
    if (find_pre_tokenizer_family(pre).characters) continue;  // whose entries are no bytes
    tokenizers.push_back(
        make_tokenizer(testing::byte_level_bpe(std::string(pre), merges, special)));
  }
  return tokenizers;
}

void encode_everywhere(std::string_view text, uint8_t choice) {
  static const auto byte_level = make_byte_level_tokenizers();
  static const auto sentencepiece = make_tokenizer(testing::sentencepiece({{"\u2581", 1, -1},
                                                                           {"a", 1, -5},
                                                                           {"b", 1, -5},
                                                                           {"ab", 1, -2},
                                                                           {"\u2581a", 1, -3},
                                                                           {"<u>", 4},
                                                                           {"\n\n", 4}}));
  static const auto unigram = make_tokenizer(testing::unigram({{"\u2581", 1, -2},
                                                               {"a", 1, -3},
                                                               {"b", 1, -3},
                                                               {"ab", 1, -4},
                                                               {"\u00E9", 1, -5},
                                                               {"<u>", 4}}));

  const bool valid = is_valid_utf8(text);
  const Tokenizer& bpe = *byte_level[choice % byte_level.size()];
  const auto tokens = bpe.encode(text, {.parse_special = false});
  check_ids(bpe, tokens);
  const std::string expected = valid ? std::string(text) : replace_invalid_bytes(text);
  require(bpe.decode(tokens) == expected, "byte-level BPE gives the text back");
  require(stream(bpe, tokens) == expected, "the stream gives the text back");
  check_ids(bpe, bpe.encode(text));

  if (text.find("\u2581") == std::string_view::npos) {
    const auto ids = sentencepiece->encode(text, {.parse_special = false});
    check_ids(*sentencepiece, ids);
    // After a user-defined token a space is put in, which only the first of all is taken back.
    const bool special = text.find("<u>") != text.npos || text.find("\n\n") != text.npos;
    // A broken lead byte takes the next characters along, as in llama.cpp, even the mark of a
    // space.
    require(special || !valid || sentencepiece->decode(ids) == text,
            "SentencePiece gives the text back");
    stream(*sentencepiece, ids);
  }
  check_ids(*unigram, unigram->encode(text));
}

// Reads the input as little records.
class Reader {
 public:
  explicit Reader(std::string_view data) : data_(data) {}
  uint8_t byte() {
    if (data_.empty()) return 0;
    const auto value = static_cast<uint8_t>(data_[0]);
    data_.remove_prefix(1);
    return value;
  }
  std::string text() {
    const size_t length = std::min<size_t>(byte() % 9, data_.size());
    std::string value(data_.substr(0, length));
    data_.remove_prefix(length);
    return value;
  }
  std::string_view rest() const { return data_; }

 private:
  std::string_view data_;
};

void load_and_encode(Reader reader) {
  static const auto names = pre_tokenizer_names();
  GgufMetadata metadata;
  const char* models[] = {"gpt2", "llama", "t5"};
  metadata.set("tokenizer.ggml.model", {std::string(models[reader.byte() % 3])});
  metadata.set("tokenizer.ggml.pre", {std::string(names[reader.byte() % names.size()])});
  std::vector<Entry> entries;
  if (reader.byte() % 2 == 0) entries = testing::sentencepiece_entries({});
  for (int count = reader.byte() % 32; count > 0; --count) {
    Entry entry = {reader.text(), reader.byte() % 8};
    entry.score = static_cast<float>(reader.byte()) - 128;
    entries.push_back(entry);
  }
  testing::set_entries(metadata, entries);
  std::vector<std::string> merges;
  for (int count = reader.byte() % 8; count > 0; --count)
    merges.push_back(reader.text() + " " + reader.text());
  metadata.set("tokenizer.ggml.merges", {GgufValue::Array(merges)});
  std::vector<uint8_t> charsmap;
  for (int count = reader.byte() % 64; count > 0; --count) charsmap.push_back(reader.byte());
  if (!charsmap.empty())
    metadata.set("tokenizer.ggml.precompiled_charsmap", {GgufValue::Array(charsmap)});
  for (const char* key : {"bos_token_id", "eos_token_id", "unknown_token_id", "eot_token_id"}) {
    if (const uint8_t id = reader.byte(); id < 64)
      metadata.set(fmt::format("tokenizer.ggml.{}", key), {uint32_t{id}});
  }
  for (const char* key :
       {"add_bos_token", "add_eos_token", "add_space_prefix", "remove_extra_whitespaces"}) {
    if (const uint8_t flag = reader.byte(); flag < 128) {
      metadata.set(fmt::format("tokenizer.ggml.{}", key), {flag % 2 == 0});
    }
  }
  try {
    const auto tokenizer = make_tokenizer(metadata);
    for (const bool special : {false, true}) {
      const auto tokens = tokenizer->encode(reader.rest(), {.parse_special = special});
      check_ids(*tokenizer, tokens);
      tokenizer->decode(tokens, special);
      stream(*tokenizer, tokens);
    }
    for (size_t i = 0; i < tokenizer->vocabulary_size(); ++i)
      tokenizer->piece(static_cast<Token>(i), true);
  } catch (const Error&) {
  }
}

}  // namespace
}  // namespace tessera

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  spdlog::set_level(spdlog::level::off);
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  if (size < 2) return 0;
  if (data[0] % 2 == 0) {
    tessera::encode_everywhere(input.substr(2), data[1]);
  } else {
    tessera::load_and_encode(tessera::Reader(input.substr(1)));
  }
  return 0;
}
