#include "text/unigram_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"
#include "text/byte_trie.h"
#include "tiny_vocabularies.h"

namespace tessera {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;
using testing::unigram;

constexpr EncodeOptions kPlain = {.add_special = false};

// 3: U+2581, 4: a, 5: b, 6: "ab", 7: "U+2581 a", 8: "bb".
GgufMetadata letters() {
  return unigram({{"\u2581", 1, -2},
                  {"a", 1, -3},
                  {"b", 1, -3},
                  {"ab", 1, -4},
                  {"\u2581a", 1, -4},
                  {"bb", 1, -1}});
}

TEST(UnigramTokenizer, FindsTheCutWithTheBestSum) {
  const auto tokenizer = make_tokenizer(letters());
  EXPECT_THAT(tokenizer->encode("ab", kPlain), ElementsAre(3, 6));   // -2 -4 beats -4 -3
  EXPECT_THAT(tokenizer->encode("abb", kPlain), ElementsAre(7, 8));  // -4 -1 beats -2 -4 -3
  EXPECT_THAT(tokenizer->encode("ab"), ElementsAre(3, 6, 1));        // eos by default
}

TEST(UnigramTokenizer, RemovesExtraSpaces) {
  const auto tokenizer = make_tokenizer(letters());
  EXPECT_EQ(tokenizer->encode("  ab   b "), tokenizer->encode("ab b"));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("  ab   b ")), "ab b");
  EXPECT_THAT(tokenizer->encode("   ", kPlain), ElementsAre());
}

TEST(UnigramTokenizer, KeepsSpacesWhereTheModelDoes) {
  GgufMetadata metadata = letters();
  metadata.set("tokenizer.ggml.remove_extra_whitespaces", {false});
  const auto tokenizer = make_tokenizer(metadata);
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("ab   b ")), "ab   b ");
}

TEST(UnigramTokenizer, UnknownNeighboursAreOneToken) {
  const auto tokenizer = make_tokenizer(letters());
  EXPECT_THAT(tokenizer->encode("a\u4E2D\xFFyb", kPlain), ElementsAre(7, 2, 5));
}

TEST(UnigramTokenizer, SpellsUnknownCharactersWhereItHasBytes) {
  std::vector<testing::Entry> more = {{"\u2581", 1, -2}};
  for (int byte = 0; byte < 256; ++byte) more.push_back({fmt::format("<0x{:02X}>", byte), 6});
  const auto tokenizer = make_tokenizer(unigram(more));
  EXPECT_THAT(tokenizer->encode("\u00E9", kPlain), ElementsAre(3, 4 + 0xC3, 4 + 0xA9));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("x\u4E2D y")), "x\u4E2D y");
}

// The charsmap { "A": "a", "\u00C4": "" } by hand: units of a double array.
std::vector<uint8_t> make_charsmap() {
  std::vector<uint32_t> units(512, 0);
  const auto node = [](uint32_t offset, uint32_t label, bool ends) {
    return offset << 10 | uint32_t{ends} << 8 | label;
  };
  // Children of the root lie at 256 ^ byte; what ends a key keeps its value at place ^ offset.
  units[0] = node(256, 0, false);
  units[256 ^ 'A'] = node(1, 'A', true);
  units[256 ^ 'A' ^ 1] = 0;                  // value: replacement 0, "a"
  units[256 ^ 0xC3] = node(8, 0xC3, false);  // its children lie at 256 ^ 0xC3 ^ 8 ^ byte
  units[256 ^ 0xC3 ^ 8 ^ 0x84] = node(16, 0x84, true);
  units[256 ^ 0xC3 ^ 8 ^ 0x84 ^ 16] = 2;  // value: replacement 2, ""
  std::vector<uint8_t> blob;
  const auto put = [&](uint32_t value) {
    for (int i = 0; i < 4; ++i) blob.push_back(static_cast<uint8_t>(value >> 8 * i));
  };
  put(static_cast<uint32_t>(units.size() * 4));
  for (const uint32_t unit : units) put(unit);
  for (const char c : {'a', '\0', '\0'}) blob.push_back(static_cast<uint8_t>(c));
  return blob;
}

TEST(UnigramTokenizer, ReplacesCharactersAsTheModelWasTrained) {
  GgufMetadata metadata = letters();
  metadata.set("tokenizer.ggml.precompiled_charsmap", {GgufValue::Array(make_charsmap())});
  const auto tokenizer = make_tokenizer(metadata);
  EXPECT_EQ(tokenizer->encode("A\u00C4b"), tokenizer->encode("ab"));
  EXPECT_THAT(tokenizer->encode("\u00C5", kPlain),
              ElementsAre(3, 2));  // shares a byte with a key only
}

TEST(Charsmap, MalformedBlobsAreErrors) {
  const std::vector<uint8_t> good = make_charsmap();
  const auto blob = [&](size_t size) {
    return std::string(good.begin(), good.begin() + static_cast<ptrdiff_t>(size));
  };
  EXPECT_NO_THROW(Charsmap(blob(good.size())));
  for (const size_t size : {size_t{0}, size_t{3}, size_t{4}, size_t{100}, good.size() - 4}) {
    EXPECT_THROW(Charsmap(blob(size)), Error) << size;
  }
  EXPECT_THROW(Charsmap(blob(good.size()) + "x"), Error);  // no NUL at the end
}

TEST(UnigramTokenizer, ScoresMustBeFinite) {
  EXPECT_THROW(make_tokenizer(unigram({{"a", 1, -std::numeric_limits<float>::infinity()}})), Error);
  EXPECT_THROW(make_tokenizer(unigram({{"a", 1, std::numeric_limits<float>::quiet_NaN()}})), Error);
}

TEST(ByteTrie, VisitsAllPrefixesThatAreWords) {
  const ByteTrie trie({{"ab", 1}, {"a", 2}, {"abcd", 3}, {"b", 4}, {"ab", 5}, {"", 6}});
  std::vector<std::pair<size_t, Token>> found;
  trie.visit_prefixes("abcx",
                      [&](size_t length, Token token) { found.emplace_back(length, token); });
  EXPECT_THAT(found, ElementsAre(Pair(1, 2), Pair(2, 1)));
}

}  // namespace
}  // namespace tessera
