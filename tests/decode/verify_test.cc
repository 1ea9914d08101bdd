#include <gtest/gtest.h>

#include "base/error.h"
#include "decode/drafter.h"
#include "decode/prompt_lookup.h"

namespace tessera {
namespace {

constexpr int kVocabulary = 8;

// Logits whose greedy token of each row is given.
struct Rows {
  explicit Rows(const std::vector<Token>& greedy) : values(greedy.size() * kVocabulary) {
    for (size_t r = 0; r < greedy.size(); ++r) values[r * kVocabulary + greedy[r]] = 1;
  }
  Tensor tensor() {
    return {values.data(), static_cast<int>(values.size()) / kVocabulary, kVocabulary, kVocabulary};
  }
  std::vector<float> values;
};

TEST(Verify, OneNodeGivesOneToken) {
  Rows rows({3});
  Sampler sampler({.temperature = 0});
  const Verified verified =
      verify({.tokens = {1}, .parents = {-1}}, rows.tensor(), sampler, std::vector<Token>{1}, 1);
  EXPECT_EQ(verified.tokens, (std::vector<Token>{3}));
  EXPECT_EQ(verified.path, (std::vector<int32_t>{0}));
}

TEST(Verify, AcceptsTheLongestPathTheModelWouldHaveTaken) {
  // 0 -> {1: token 3 -> {3: token 5}, 2: token 4 -> {4: token 6 -> {5: token 7}}}
  const TokenTree tree{.tokens = {1, 3, 4, 5, 6, 7}, .parents = {-1, 0, 0, 1, 2, 4}};
  Rows rows(
      {4, 0, 6, 0, 2, 0});  // after the root 4, after that 6, after that 2, which nobody drafted
  Sampler sampler({.temperature = 0});
  const Verified verified = verify(tree, rows.tensor(), sampler, std::vector<Token>{1}, 1);
  EXPECT_EQ(verified.tokens, (std::vector<Token>{4, 6, 2}));
  EXPECT_EQ(verified.path, (std::vector<int32_t>{0, 2, 4}));
}

TEST(PromptLookup, ProposesWhatFollowedTheLongestMatchLast) {
  PromptLookup drafter(3, 4);
  const std::vector<Token> tokens = {1, 2, 3, 4, 9, 2, 3, 5, 6, 7, 8, 2, 3};
  const TokenTree tree = drafter.propose(tokens, 10);
  EXPECT_EQ(tree.tokens, (std::vector<Token>{5, 6, 7, 8}));
  EXPECT_EQ(tree.parents, (std::vector<int32_t>{-1, 0, 1, 2}));
  EXPECT_EQ(drafter.propose(tokens, 2).size(), 2);
}

TEST(PromptLookup, ProposesNothingForNewText) {
  PromptLookup drafter;
  EXPECT_EQ(drafter.propose(std::vector<Token>{1, 2, 3}, 8).size(), 0);
  EXPECT_EQ(drafter.propose(std::vector<Token>{1}, 8).size(), 0);
}

TEST(Drafters, AnUnknownNameListsTheKnownOnes) {
  try {
    make_drafter("magic");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("prompt-lookup"), std::string::npos);
  }
}

}  // namespace
}  // namespace tessera
