#include "decode/drafters/drafters.h"

#include <gtest/gtest.h>

#include "support/error_of.h"

namespace tessera {
namespace {

TokenTree propose(const std::vector<Token>& tokens, int room, PromptLookupOptions options = {}) {
  DraftRequest request{.tokens = tokens, .room = room};
  make_prompt_lookup(options)->propose(std::span(&request, 1));
  return request.tree;
}

TEST(PromptLookup, ProposesWhatFollowedTheLongestMatchLast) {
  const PromptLookupOptions options{.max_ngram = 3, .draft_tokens = 4};
  const std::vector<Token> tokens = {1, 2, 3, 4, 9, 2, 3, 5, 6, 7, 8, 2, 3};
  const TokenTree tree = propose(tokens, 10, options);
  EXPECT_EQ(tree.tokens, (std::vector<Token>{5, 6, 7, 8}));
  EXPECT_EQ(tree.parents, (std::vector<int32_t>{-1, 0, 1, 2}));
  EXPECT_EQ(propose(tokens, 2, options).size(), 2);
}

TEST(PromptLookup, ProposesNothingForNewText) {
  EXPECT_EQ(propose({1, 2, 3}, 8).size(), 0);
  EXPECT_EQ(propose({1}, 8).size(), 0);
}

TEST(Drafters, AnUnknownNameListsTheKnownOnes) {
  EXPECT_EQ(error_of([] { find_drafter("magic"); }),
            "there is no decoder 'magic' (known: plain, prompt-lookup)");
  EXPECT_EQ(find_drafter("plain"), nullptr);
  EXPECT_EQ(find_drafter("prompt-lookup")->name, "prompt-lookup");
}

TEST(Drafters, ANameIsTakenOnce) {
  for (const char* name : {"plain", "prompt-lookup"}) {
    EXPECT_EQ(error_of([&] { add_drafter({.name = name, .note = "", .make = {}}); }),
              std::string("there is a decoder '") + name + "' already");
  }
}

// Parents stand before their children, so the first nodes of a tree are a tree.
TEST(TokenTree, IsCutFromItsEnd) {
  TokenTree tree;
  tree.add(5, -1);
  tree.add(6, 0);
  tree.add(7, -1);
  tree.truncate(2);
  EXPECT_EQ(tree.tokens, (std::vector<Token>{5, 6}));
  EXPECT_EQ(tree.parents, (std::vector<int32_t>{-1, 0}));
  tree.truncate(9);
  EXPECT_EQ(tree.size(), 2);
}

}  // namespace
}  // namespace tessera
