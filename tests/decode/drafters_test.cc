#include "decode/drafters/drafters.h"
#include "decode/drafters/text_source.h"
#include "decode/guess_tree.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "support/error_of.h"

namespace tessera {
namespace {

// Sequences of one drafter.
class DrafterTest : public ::testing::Test {
 protected:
  explicit DrafterTest(std::vector<StartSource> sources) : drafter_(std::move(sources)) {}

  std::unique_ptr<DraftState> start(std::span<const Token> prediction = {}, std::string salt = "") {
    return drafter_.start({values_, salt, prediction});
  }
  TokenTree propose(DraftState& state, const std::vector<Token>& tokens, size_t prompt_size,
                    int room = 8) {
    DraftRequest request{
        .tokens = tokens, .prompt_size = prompt_size, .state = &state, .room = room};
    drafter_.propose(std::span(&request, 1), {.cost = cost_, .rows = 1, .answers = 1});
    return request.tree;
  }
  TokenTree propose(const std::vector<Token>& tokens, int room = 8) {
    return propose(*start(), tokens, tokens.size(), room);
  }
  GuessingDrafter drafter_;
  const DrafterValues values_ = parse_decoder("lookup,least=0.02").values;
  const StepCost cost_;
};

class LookupTest : public DrafterTest {
 protected:
  LookupTest() : DrafterTest(lookup_sources()) {}
};

class PredictionTest : public DrafterTest {
 protected:
  PredictionTest() : DrafterTest(prediction_sources()) {}
};

using Tokens = std::vector<Token>;

TEST_F(LookupTest, ProposesWhatFollowedTheLongestMatch) {
  const Tokens tokens = {1, 2, 3, 4, 9, 2, 3, 5, 6, 7, 8, 1, 2, 3};
  const TokenTree tree = propose(tokens, 4);
  EXPECT_EQ(tree.tokens, (Tokens{4, 9, 2, 3}));
  EXPECT_EQ(tree.parents, (std::vector<int32_t>{-1, 0, 1, 2}));
  EXPECT_EQ(propose(tokens, 2).size(), 2);
}

TEST_F(LookupTest, ProposesSeveralContinuationsTheLikelierFirst) {
  const Tokens tokens = {1, 2, 5, 0, 1, 2, 6, 9, 1, 2, 6, 8, 1, 2};
  const TokenTree tree = propose(tokens, 4);
  EXPECT_EQ(tree.tokens.front(), 6) << "followed twice";
  const auto other = std::ranges::find(tree.tokens, 5);
  ASSERT_NE(other, tree.tokens.end());
  EXPECT_EQ(tree.parents[other - tree.tokens.begin()], -1);
}

TEST_F(LookupTest, ProposesNothingForNewText) {
  EXPECT_EQ(propose({1, 2, 3}).size(), 0);
  EXPECT_EQ(propose({1}).size(), 0);
}

TEST_F(PredictionTest, IsFollowedAndFoundAgainAfterADifference) {
  const Tokens prediction = {10, 11, 12, 13, 14, 15, 16};
  const auto state = start(prediction);
  Tokens text = {1, 2};
  EXPECT_EQ(propose(*state, text, 2, 3).tokens, (Tokens{10, 11, 12})) << "from its beginning";
  text.insert(text.end(), {10, 11});
  EXPECT_EQ(propose(*state, text, 2, 2).tokens, (Tokens{12, 13}));
  text.insert(text.end(), {99});
  const TokenTree lost = propose(*state, text, 2, 2);
  EXPECT_EQ(lost.tokens, (Tokens{13, 12})) << "something else was said instead, or before";
  EXPECT_EQ(lost.parents, (std::vector<int32_t>{-1, -1}));
  text.insert(text.end(), {13});
  EXPECT_EQ(propose(*state, text, 2, 2).tokens, (Tokens{14, 15}));
}

// Texts that were read one after another have a negative token between them.
TEST(GuessTree, HasNothingBehindTheEndOfAText) {
  auto texts = std::make_shared<SuffixAutomaton>();
  for (const Token token : {1, 2, 3, TextSource::kBreak, 7, 8, TextSource::kBreak})
    texts->append(token);
  std::vector<RatedSource> sources(1);
  sources[0].source = std::make_unique<TextSource>(texts);
  sources[0].rates = HitRates(sources[0].source->chances());
  for (const Token token : {1, 2}) sources[0].source->read(token, true);
  EXPECT_EQ(grow_tree(sources, Claims(), 8, 0.01).tree.tokens, Tokens{3});
}

TEST(Decoders, AreAskedForByNameAndSettings) {
  EXPECT_EQ(parse_decoder("plain").kind, nullptr);
  const Decoder decoder = parse_decoder("lookup,nodes=16,least=0.5");
  EXPECT_EQ(decoder.kind->name, "lookup");
  EXPECT_EQ(decoder.values.at("nodes"), 16);
  EXPECT_EQ(decoder.values.at("least"), 0.5);
  EXPECT_EQ(parse_decoder("lookup").values.at("nodes"), 48);
}

TEST(Decoders, WhatIsNotKnownNamesWhatIs) {
  const auto error = [](const char* text) { return error_of([&] { parse_decoder(text); }); };
  EXPECT_EQ(error("magic"),
            "there is no decoder 'magic' (known: plain, auto, draft, forced, jacobi, lookahead, "
            "lookup, medusa, mtp, prediction, recycle)");
  EXPECT_EQ(error(""),
            "there is no decoder '' (known: plain, auto, draft, forced, jacobi, lookahead, lookup, "
            "medusa, mtp, prediction, recycle)");
  EXPECT_EQ(error("plain,nodes=2"), "the decoder 'plain' has no settings, found 'nodes=2'");
  EXPECT_EQ(error("lookup,node=2"),
            "the decoder 'lookup' has no setting 'node' (known: nodes, least)");
  for (const char* value : {"0", "257", "-1", "1.5", "many", "", "8x", "nan", "inf"}) {
    EXPECT_EQ(error((std::string("lookup,nodes=") + value).c_str()),
              std::string("'nodes' of the decoder is '") + value +
                  "', expected an integer from 1 to 256");
  }
  EXPECT_EQ(error("lookup,least=2"),
            "'least' of the decoder is '2', expected a number from 0.01 to 1");
}

TEST(Decoders, AreDescribedWithTheirSettings) {
  const std::string text = describe_decoders();
  EXPECT_TRUE(text.starts_with("plain: one token a step\nauto: ")) << text;
  EXPECT_NE(text.find("\n  nodes=48: most nodes of a tree\n  least=0.2: "), text.npos) << text;
}

TEST(Decoders, ANameIsTakenOnce) {
  for (const char* name : {"plain", "lookup"}) {
    EXPECT_EQ(
        error_of([&] { add_drafter({.name = name, .note = "", .settings = {}, .make = {}}); }),
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
