#include "engine/answer.h"

#include <gtest/gtest.h>

#include "cache/block_pool.h"
#include "engine/session.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

class AnswerTest : public testing::Test {
 protected:
  AnswerTest() {
    Request request;
    request.prompt = {1};
    request.top_logprobs = 0;
    sequence_ = std::make_shared<Sequence>(request, pool_, 0);
  }
  // Text and number of logprobs of tokens that come one by one.
  std::pair<std::string, size_t> read(const std::vector<Token>& tokens,
                                      std::vector<std::string> stop = {}) {
    Answer answer(*session_.tokenizer, std::move(stop));
    std::pair<std::string, size_t> result;
    for (const Token token : tokens)
      sequence_->logprobs.push_back({.token = token, .logprob = 0, .top = {}});
    for (const Token& token : tokens) {
      const Answer::Piece piece = answer.push(*sequence_, std::span(&token, 1));
      result.first += piece.text;
      result.second += piece.logprobs.size();
      if (answer.stopped()) break;
    }
    result.first += answer.finish();
    return result;
  }

  test::TempFolder folder_;
  Session session_ = Session::load(write_tiny_model({}, folder_.path()).string(), {.threads = 1});
  BlockPool pool_{4, 32};
  std::shared_ptr<Sequence> sequence_;
  const Tokenizer& tokenizer_ = *session_.tokenizer;
};

TEST_F(AnswerTest, IsTheTextOfItsTokens) {
  const auto tokens = tokenizer_.encode("hello \u00e9", {.add_special = false});
  EXPECT_EQ(read(tokens), std::pair(std::string("hello \u00e9"), tokens.size()));
}

// A model may have more logits than its tokenizer has tokens (padded vocabularies do).
TEST_F(AnswerTest, TokensBeyondTheTokenizerAreNoText) {
  const auto beyond = static_cast<Token>(tokenizer_.vocabulary_size());
  const auto text = tokenizer_.encode("a", {.add_special = false});
  EXPECT_EQ(read({beyond, text[0], beyond + 7}), std::pair(std::string("a"), size_t{1}));
}

TEST_F(AnswerTest, WhatEndsAnAnswerIsNoPartOfIt) {
  const Token end = tokenizer_.encode("<|im_end|>", {.add_special = false})[0];
  ASSERT_TRUE(tokenizer_.is_end_of_generation(end));
  const auto text = tokenizer_.encode("a", {.add_special = false});
  EXPECT_EQ(read({text[0], end}), std::pair(std::string("a"), size_t{1}));
}

TEST_F(AnswerTest, EndsBeforeAStopText) {
  const auto tokens = tokenizer_.encode("one two three", {.add_special = false});
  EXPECT_EQ(read(tokens, {" tw", "thr"}).first, "one");
}

TEST_F(AnswerTest, StopTextsCountOnlyInWhatComesBehindTheLeastTokens) {
  const auto tokens = tokenizer_.encode("a b a b a b", {.add_special = false});
  const auto least = tokenizer_.encode("a b a", {.add_special = false});
  EXPECT_EQ(read(tokens, {"b"}).first, "a ");
  sequence_->request.min_tokens = static_cast<int>(least.size());
  sequence_->logprobs.clear();
  EXPECT_EQ(read(tokens, {"b"}).first, "a b a ");
}

TEST_F(AnswerTest, StopTokensAreNoPartOfIt) {
  const auto tokens = tokenizer_.encode("ab", {.add_special = false});
  sequence_->request.stop_tokens = {tokens.back()};
  EXPECT_EQ(read(tokens).second, tokens.size() - 1);
}

// What an answer took does not depend on how many tokens a step gave beyond its end.
TEST_F(AnswerTest, TellsHowItEnded) {
  const auto text = tokenizer_.encode("one two", {.add_special = false});
  const Token end = tokenizer_.encode("<|im_end|>", {.add_special = false})[0];
  const auto ending = [&](std::vector<Token> tokens, FinishReason reason,
                          std::vector<std::string> stop = {}) {
    Answer answer(tokenizer_, std::move(stop));
    answer.push(*sequence_, tokens);
    sequence_->finished = reason;
    return answer.ending(*sequence_);
  };
  const int all = static_cast<int>(text.size());
  std::vector<Token> ended = text;
  ended.push_back(end);
  const Ending whole = ending(ended, FinishReason::kStop);
  EXPECT_EQ(whole.finish_reason, "stop");
  EXPECT_FALSE(whole.is_cut);
  EXPECT_EQ(whole.generated_tokens, all + 1);
  EXPECT_EQ(whole.prompt_tokens, 1);
  const Ending longest = ending(text, FinishReason::kLength);
  EXPECT_EQ(longest.finish_reason, "length");
  EXPECT_TRUE(longest.is_cut);
  const Ending stopped = ending(ended, FinishReason::kStop, {"n"});
  EXPECT_TRUE(stopped.is_cut);
  EXPECT_LT(stopped.generated_tokens, all);
}

}  // namespace
}  // namespace tessera
