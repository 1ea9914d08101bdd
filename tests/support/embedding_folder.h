// A copy of one of the tiny models of tests/data/embeddings, with a tokenizer of letters beside it.
#pragma once

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace tessera {

// `data`: tests/data. The vocabulary: "[UNK]", "[CLS]", "[SEP]", and the letters as they begin
// words and go on with them.
inline void copy_embedding_folder(const std::filesystem::path& data, const std::string& name,
                                  const std::filesystem::path& into) {
  using nlohmann::json;
  std::filesystem::copy(data / "embeddings" / name, into, std::filesystem::copy_options::recursive);
  json vocabulary = {{"[UNK]", 0}, {"[CLS]", 1}, {"[SEP]", 2}};
  for (char letter = 'a'; letter <= 'z'; ++letter) {
    vocabulary[std::string(1, letter)] = vocabulary.size();
    vocabulary[std::string("##") + letter] = vocabulary.size();
  }
  json added = json::array();
  for (const char* text : {"[UNK]", "[CLS]", "[SEP]"})
    added.push_back({{"id", vocabulary[text]}, {"content", text}, {"special", true}});
  const json tokenizer = {
      {"added_tokens", added},
      {"normalizer", {{"type", "BertNormalizer"}}},
      {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
      {"post_processor",
       {{"type", "BertProcessing"}, {"sep", {"[SEP]", 2}}, {"cls", {"[CLS]", 1}}}},
      {"model", {{"type", "WordPiece"}, {"unk_token", "[UNK]"}, {"vocab", vocabulary}}}};
  std::ofstream(into / "tokenizer.json") << tokenizer.dump();
}

}  // namespace tessera
