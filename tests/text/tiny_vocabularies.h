// Metadata of tokenizers small enough to read, for tests and the fuzzer.
#pragma once

#include <fmt/format.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint/byte_alphabet.h"
#include "files/gguf/metadata.h"
#include "files/gguf/tokenizer.h"
#include "text/tokenizer.h"

namespace tessera {

inline std::unique_ptr<const Tokenizer> make_tokenizer(const GgufMetadata& metadata) {
  return Tokenizer::make(gguf::read_tokenizer(metadata));
}

namespace testing {

struct Entry {
  std::string text;
  int32_t type = 1;  // 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte
  float score = 0;
};

inline void set_entries(GgufMetadata& metadata, const std::vector<Entry>& entries) {
  std::vector<std::string> texts;
  std::vector<int32_t> types;
  std::vector<float> scores;
  for (const Entry& entry : entries) {
    texts.push_back(entry.text);
    types.push_back(entry.type);
    scores.push_back(entry.score);
  }
  metadata.set("tokenizer.ggml.tokens", {GgufValue::Array(texts)});
  metadata.set("tokenizer.ggml.token_type", {GgufValue::Array(types)});
  metadata.set("tokenizer.ggml.scores", {GgufValue::Array(scores)});
}

// All 256 bytes as tokens 0 to 255, then `merges` ("a b" joins two, in GPT-2's alphabet), then
// `more`.
inline GgufMetadata byte_level_bpe(const std::string& pre, const std::vector<std::string>& merges,
                                   const std::vector<Entry>& more = {}) {
  std::vector<Entry> entries;
  for (int byte = 0; byte < 256; ++byte) {
    entries.push_back({std::string(byte_to_alphabet(static_cast<unsigned char>(byte)))});
  }
  for (const std::string& merge : merges) {
    std::string joined = merge;
    entries.push_back({joined.erase(joined.find(' ', 1), 1)});
  }
  entries.insert(entries.end(), more.begin(), more.end());
  GgufMetadata metadata;
  metadata.set("tokenizer.ggml.model", {std::string("gpt2")});
  metadata.set("tokenizer.ggml.pre", {pre});
  metadata.set("tokenizer.ggml.merges", {GgufValue::Array(merges)});
  set_entries(metadata, entries);
  return metadata;
}

// <unk> <s> </s>, the 256 byte tokens (3 to 258), then `more`.
inline std::vector<Entry> sentencepiece_entries(const std::vector<Entry>& more) {
  std::vector<Entry> entries = {{"<unk>", 2}, {"<s>", 3}, {"</s>", 3}};
  for (int byte = 0; byte < 256; ++byte) entries.push_back({fmt::format("<0x{:02X}>", byte), 6});
  entries.insert(entries.end(), more.begin(), more.end());
  return entries;
}

inline GgufMetadata sentencepiece(const std::vector<Entry>& more) {
  GgufMetadata metadata;
  metadata.set("tokenizer.ggml.model", {std::string("llama")});
  set_entries(metadata, sentencepiece_entries(more));
  return metadata;
}

// <pad> </s> <unk>, then `more`.
inline GgufMetadata unigram(const std::vector<Entry>& more) {
  std::vector<Entry> entries = {{"<pad>", 3}, {"</s>", 3}, {"<unk>", 2}};
  entries.insert(entries.end(), more.begin(), more.end());
  GgufMetadata metadata;
  metadata.set("tokenizer.ggml.model", {std::string("t5")});
  metadata.set("tokenizer.ggml.add_space_prefix", {true});
  metadata.set("tokenizer.ggml.remove_extra_whitespaces", {true});
  set_entries(metadata, entries);
  return metadata;
}

}  // namespace testing
}  // namespace tessera
