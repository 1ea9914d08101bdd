// Byte-pair encoding of characters, which GGUF names by its pre-tokenizer only.
#include "checkpoint/character_pairs.h"

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

using Texts = std::vector<std::string>;

std::unique_ptr<const Tokenizer> read(const std::string& model, const std::string& pre,
                                      const Texts& texts, const Texts& merges,
                                      bool lowercases = false) {
  GgufMetadata metadata;
  metadata.set("tokenizer.ggml.model", {model});
  metadata.set("tokenizer.ggml.pre", {pre});
  metadata.set("tokenizer.ggml.tokens", {GgufValue::Array(texts)});
  if (!merges.empty()) metadata.set("tokenizer.ggml.merges", {GgufValue::Array(merges)});
  if (lowercases) metadata.set("tokenizer.ggml.normalizer.lowercase", {true});
  return Tokenizer::make(gguf::read_tokenizer(metadata));
}

// Merges go over spaces, but not over the end of a line.
TEST(CharacterPairs, MarkSpaces) {
  const Texts texts = {"a", "b", "\u2581", "\n", "a\u2581", "a\u2581b", "\n\n", "\u00E9"};
  const Texts merges = {"a \u2581", "a\u2581 b"};
  for (const char* pre : {"sarvam-moe", "granite-embed-multi-311m", "gemma4"}) {
    const auto tokenizer = read("gpt2", pre, texts, merges);
    EXPECT_THAT(tokenizer->encode("a ba \na\u00E9"), ElementsAre(5, 4, 3, 0, 7)) << pre;
    EXPECT_EQ(tokenizer->decode(std::vector<Token>{5, 4, 3, 0, 7}), "a ba \na\u00E9") << pre;
  }
  EXPECT_THAT(read("gpt2", "granite-embed-multi-311m", texts, merges)->encode("a\n\nb"),
              ElementsAre(0, 6, 1));
  EXPECT_THAT(read("gpt2", "sarvam-moe", texts, merges)->encode("a\n\nb"), ElementsAre(0, 3, 3, 1));
}

// What has no entry is lost, as white space is.
TEST(CharacterPairs, EndAtWhiteSpace) {
  const Texts texts = {"a", "b", "\u4E2D", "ab", "A"}, merges = {"a b"};
  for (const char* model : {"whitespace", "gpt2"}) {
    const auto tokenizer = read(model, "whitespace", texts, merges);
    EXPECT_THAT(tokenizer->encode("ab a\u3000b\n\u4E2Dab?A"), ElementsAre(3, 0, 1, 2, 3, 4))
        << model;
  }
  EXPECT_THAT(read("whitespace", "whitespace", texts, merges, true)->encode("AB"), ElementsAre(3));
}

TEST(CharacterPairs, NeedMerges) {
  for (const char* pre : {"sarvam-moe", "whitespace"}) {
    EXPECT_EQ(error_of([&] { read("gpt2", pre, {"a"}, {}); }),
              "tokenizer: the merges are missing, which BPE needs");
  }
}

}  // namespace
}  // namespace tessera
