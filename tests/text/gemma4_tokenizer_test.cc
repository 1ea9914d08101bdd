#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "files/gguf/tokenizer.h"
#include "support/error_of.h"
#include "text/tokenizer.h"

namespace tessera {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Merges of characters over whole texts; runs of newlines are tokens without merges; the end of a
// tool's call ends the turn.
TEST(GgufTokenizer, ReadsGemma4s) {
  TokenizerData data;
  data.kind = TokenizerKind::kSentencePiece;
  data.vocabulary.texts = {"<pad>", "<bos>",   "<unk>", "a",    "\u2581",
                           "\n",    "\u2581a", "aa",    "\n\n", "<|tool_response>",
                           "<0x62>"};
  data.vocabulary.types.emplace(11, TokenType::kNormal);
  for (const size_t control : {0, 1}) (*data.vocabulary.types)[control] = TokenType::kControl;
  (*data.vocabulary.types)[2] = TokenType::kUnknown;
  (*data.vocabulary.types)[9] = TokenType::kUserDefined;
  (*data.vocabulary.types)[10] = TokenType::kByte;
  data.vocabulary.bos_token_id = 1;
  data.vocabulary.unknown_token_id = 2;
  data.vocabulary.add_bos_token = false;  // as early files say
  data.merges = {"\u2581 a", "a a"};
  GgufMetadata metadata;
  metadata.set("general.architecture", {std::string("gemma4")});
  EXPECT_THAT(gguf::write_tokenizer(data, {}, metadata), IsEmpty());
  EXPECT_EQ(metadata.get_string("tokenizer.ggml.model"), "gemma4");
  EXPECT_EQ(metadata.get_strings("tokenizer.ggml.merges"), data.merges);
  const auto tokenizer = Tokenizer::make(gguf::read_tokenizer(metadata));
  EXPECT_THAT(tokenizer->encode("aaa\n\n ab"), ElementsAre(1, 7, 3, 8, 6, 10));
  EXPECT_EQ(tokenizer->decode(std::vector<Token>{7, 3, 8, 6, 10}), "aaa\n\n ab");
  EXPECT_THAT(tokenizer->encode("<bos>a"), ElementsAre(1, 3));
  EXPECT_TRUE(tokenizer->is_end_of_generation(9));
  metadata.erase("tokenizer.ggml.merges");
  EXPECT_EQ(error_of([&] { Tokenizer::make(gguf::read_tokenizer(metadata)); }),
            "tokenizer: the merges are missing, which BPE needs");
  metadata.set("tokenizer.ggml.model", {std::string("gemma5")});
  EXPECT_EQ(error_of([&] { gguf::read_tokenizer(metadata); }),
            "key 'tokenizer.ggml.model': expected 'gpt2', 'llama', 't5', 'bert', 'whitespace' or "
            "'gemma4', found 'gemma5'");
}

}  // namespace
}  // namespace tessera
