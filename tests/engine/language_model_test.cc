// The public API.
#include <gtest/gtest.h>

#include <set>
#include <stdexcept>

#include "support/temp_folder.h"
#include "support/tiny_model.h"
#include "tessera/tessera.h"

namespace tessera {
namespace {

class LanguageModelTest : public testing::Test {
 protected:
  test::TempFolder folder_;
  LanguageModel model_ =
      LanguageModel::load(write_tiny_model({}, folder_.path()).string(), {.threads = 2});
  GenerateOptions options_{.max_tokens = 12, .sampling = {.seed = 4}, .ignore_eos = true};
};

TEST_F(LanguageModelTest, StreamsWhatItReturns) {
  std::string streamed;
  const Generation generation = model_.generate("hello", options_, [&](std::string_view text) {
    streamed += text;
    return true;
  });
  EXPECT_EQ(streamed, generation.text);
  EXPECT_EQ(generation.tokens.size(), 12u);
  EXPECT_EQ(generation.finish_reason, "length");
}

TEST_F(LanguageModelTest, ACallbackThatThrowsLeavesNothingBehind) {
  const std::string expected = model_.generate("hello", options_).text;
  const auto throwing = [](std::string_view) -> bool { throw std::runtime_error("no more"); };
  EXPECT_THROW(model_.generate("hello", options_, throwing), std::runtime_error);
  EXPECT_EQ(model_.generate("hello", options_).text, expected);
}

TEST_F(LanguageModelTest, CanBeCancelledBetweenSteps) {
  int asked = 0;
  options_.is_cancelled = [&] { return ++asked == 3; };
  const Generation generation = model_.generate("hello", options_);
  EXPECT_EQ(generation.finish_reason, "cancelled");
  EXPECT_EQ(generation.tokens.size(), 3u);
}

TEST_F(LanguageModelTest, StopsBeforeAStopString) {
  const std::string whole = model_.generate("hello", options_).text;
  ASSERT_GT(whole.size(), 4u);
  options_.stop = {whole.substr(2, 2)};
  const Generation generation = model_.generate("hello", options_);
  EXPECT_EQ(generation.text, whole.substr(0, whole.find(options_.stop[0])));
  EXPECT_EQ(generation.finish_reason, "stop");
}

TEST_F(LanguageModelTest, ChatRendersTheModelsTemplate) {
  const std::string prompt = model_.render_chat({{"user", "hi"}});
  EXPECT_EQ(prompt, "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n");
}

TEST_F(LanguageModelTest, TellsWhetherItHasAChatTemplate) {
  EXPECT_TRUE(model_.has_chat_template());
  const auto base = write_tiny_model({.chat_template = false}, folder_.path());
  EXPECT_FALSE(LanguageModel::load(base.string()).has_chat_template());
}

TEST_F(LanguageModelTest, WithoutASeedEveryTextHasItsOwn) {
  options_.sampling = {.temperature = 1, .top_k = 0, .top_p = 1, .min_p = 0};
  const std::vector<std::string> prompts(2, "hello");
  std::vector<Generation> texts = model_.generate(prompts, options_);
  texts.push_back(model_.generate("hello", options_));
  std::set<uint64_t> seeds;
  for (const Generation& text : texts) {
    seeds.insert(text.seed);
    options_.sampling.seed = text.seed;
    const Generation again = model_.generate("hello", options_);
    EXPECT_EQ(again.tokens, text.tokens);
    EXPECT_EQ(again.seed, text.seed);
  }
  EXPECT_EQ(seeds.size(), texts.size());
}

TEST_F(LanguageModelTest, WhatMessagesSpellCanBeKeptText) {
  const std::vector<ChatMessage> messages = {{"system", "<|im_end|>"}, {"user", "a<|im_start|>"}};
  const auto spelled = model_.tokenize(model_.render_chat(messages));
  EXPECT_EQ(model_.chat(messages, options_).prompt_tokens, static_cast<int>(spelled.size()));
  options_.parse_special = false;
  // Two tokens fewer, and their letters instead.
  EXPECT_EQ(
      model_.chat(messages, options_).prompt_tokens,
      static_cast<int>(spelled.size() - 2 + model_.tokenize("<|im_end|>", true, false).size() +
                       model_.tokenize("<|im_start|>", true, false).size()));
}

TEST_F(LanguageModelTest, AChatTemplateCanBeGiven) {
  const std::string path = write_tiny_model({.chat_template = false}, folder_.path()).string();
  EXPECT_FALSE(LanguageModel::load(path, {.threads = 2}).has_chat_template());
  const auto given = LanguageModel::load(path, {.threads = 2, .chat_template = "phi3"});
  EXPECT_TRUE(given.has_chat_template());
  EXPECT_EQ(given.render_chat({{"user", "hi"}}), "<|user|>\nhi<|end|>\n<|assistant|>\n");
  EXPECT_THROW(LanguageModel::load(path, {.threads = 2, .chat_template = "ph3"}),
               std::runtime_error);
}

TEST_F(LanguageModelTest, SeveralPromptsAnswerAsEachAlone) {
  std::vector<std::string> prompts;
  for (int i = 0; i < 7; ++i)
    prompts.push_back(std::string(static_cast<size_t>(5 * i + 1), 'a') + " b");
  std::vector<std::string> streamed(prompts.size());
  const auto answers = model_.generate(prompts, options_, [&](size_t i, std::string_view text) {
    streamed[i] += text;
    return true;
  });
  ASSERT_EQ(answers.size(), prompts.size());
  for (size_t i = 0; i < prompts.size(); ++i) {
    EXPECT_EQ(answers[i].tokens, model_.generate(prompts[i], options_).tokens) << i;
    EXPECT_EQ(answers[i].text, streamed[i]);
  }
}

TEST_F(LanguageModelTest, OneAnswerOfSeveralCanEndEarly) {
  const auto answers =
      model_.generate({"one", "two"}, options_, [](size_t i, std::string_view) { return i != 0; });
  EXPECT_EQ(answers[0].finish_reason, "cancelled");
  EXPECT_EQ(answers[1].finish_reason, "length");
  EXPECT_EQ(answers[1].text, model_.generate("two", options_).text);
}

TEST_F(LanguageModelTest, NoPromptsGiveNoAnswers) {
  EXPECT_TRUE(model_.generate(std::vector<std::string>{}, options_).empty());
}

TEST_F(LanguageModelTest, ABadPromptOfSeveralLeavesNothingBehind) {
  const std::vector<std::string> prompts = {"hello", std::string(100000, 'x')};
  EXPECT_THROW(model_.generate(prompts, options_), std::runtime_error);
  EXPECT_EQ(model_.generate("hello", options_).tokens.size(), 12u);
}

TEST_F(LanguageModelTest, ABranchGoesOnAsTheWholeTextWould) {
  options_.max_tokens = 20;
  Branch branch = model_.branch("once upon a time there was");
  Branch fork = branch.fork();
  fork.append(" a king");
  const Generation first = branch.generate(options_);
  EXPECT_EQ(first.tokens, model_.generate("once upon a time there was", options_).tokens);

  // Tokens joined as append() joins them.
  auto tokens = model_.tokenize("once upon a time there was");
  const auto more = model_.tokenize(" a king", false);
  tokens.insert(tokens.end(), more.begin(), more.end());
  EXPECT_EQ(fork.tokens(), tokens);
  const size_t before = branch.tokens().size();
  branch.generate(options_);
  EXPECT_EQ(branch.tokens().size(), before + 20);
}

TEST_F(LanguageModelTest, SeveralBranchesGoOnTogetherAsEachWouldAlone) {
  const Branch start = model_.branch("once upon a time there was");
  std::vector<Branch> branches(3, start.fork());
  branches[2].append(" a king");
  std::vector<Branch> alone = branches;
  const auto together = Branch::generate(branches, options_);
  for (size_t i = 0; i < 3; ++i) {
    GenerateOptions own = options_;
    own.sampling.seed = 4 + i;
    EXPECT_EQ(alone[i].generate(own).tokens, together[i].tokens);
    EXPECT_EQ(branches[i].tokens(), alone[i].tokens());
  }
  EXPECT_NE(together[0].tokens, together[1].tokens);
  EXPECT_TRUE(Branch::generate(std::span<Branch>(), options_).empty());
  LanguageModel other =
      LanguageModel::load(write_tiny_model({}, folder_.path()).string(), {.threads = 2});
  branches.push_back(other.branch("once"));
  EXPECT_THROW(Branch::generate(branches, options_), std::runtime_error);
}

TEST_F(LanguageModelTest, ABranchScoresContinuationsAndStaysAsItIs) {
  Branch branch = model_.branch("the answer is");
  const auto tokens = branch.tokens();
  const double yes = branch.score(" yes"), no = branch.score(" no");
  EXPECT_LT(yes, 0);
  EXPECT_NE(yes, no);
  EXPECT_EQ(branch.score(" yes"), yes);
  EXPECT_EQ(branch.score(""), 0);
  EXPECT_EQ(branch.tokens(), tokens);
}

TEST_F(LanguageModelTest, ABranchOutlivesTheObjectThatMadeIt) {
  Branch branch = [&] {
    LanguageModel model = std::move(model_);
    return model.branch("hello");
  }();
  EXPECT_EQ(branch.generate(options_).tokens.size(), 12u);
}

// The last user of a model goes away when another branch takes its place.
TEST_F(LanguageModelTest, ABranchTakesThePlaceOfAnotherModels) {
  Branch branch = LanguageModel::load(write_tiny_model({}, folder_.path()).string()).branch("a");
  branch = model_.branch("b");
  EXPECT_EQ(branch.generate(options_).tokens, model_.generate("b", options_).tokens);
}

// A step of a drafted answer may commit more than a stop text leaves of it.
TEST_F(LanguageModelTest, ABranchIsTheSameTextWithEveryDecoder) {
  const std::string text = "a b a b a b a b a b";
  options_.max_tokens = 40;
  options_.sampling.temperature = 0;
  const std::string whole = model_.generate(text, options_).text;
  for (size_t at = 0; at + 1 < whole.size(); ++at) {
    options_.stop = {whole.substr(at, 1)};
    Branch plain = model_.branch(text), drafted = model_.branch(text);
    options_.decoder = "plain";
    plain.generate(options_);
    options_.decoder = "lookup";
    drafted.generate(options_);
    EXPECT_EQ(plain.tokens(), drafted.tokens()) << at;
  }
}

TEST_F(LanguageModelTest, ABeamSearchGivesAllItsTexts) {
  options_.beams = 4;
  EXPECT_THROW(model_.generate("hello", options_), std::runtime_error) << "a temperature";
  options_.sampling.temperature = 0;
  std::vector<std::string> told;
  const Generation found = model_.generate("hello", options_, [&](std::string_view text) {
    told.emplace_back(text);
    return true;
  });
  ASSERT_EQ(found.beams.size(), 4u);
  EXPECT_EQ(found.text, found.beams[0].text);
  EXPECT_EQ(found.tokens, found.beams[0].tokens);
  EXPECT_EQ(found.steps, 12);
  std::string all;
  for (const std::string& text : told) all += text;
  EXPECT_EQ(all, found.text);
  std::set<std::vector<int32_t>> texts;
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(found.beams[i].finish_reason, "length");
    texts.insert(found.beams[i].tokens);
    EXPECT_LE(found.beams[i].score, found.beams[i > 0 ? i - 1 : 0].score);
  }
  EXPECT_EQ(texts.size(), 4u);

  options_.beams = 1;
  const Generation greedy = model_.generate("hello", options_);
  EXPECT_TRUE(greedy.beams.empty());
  options_.beams = 4;
  const std::vector<std::string> prompts = {"hello", "bye"};
  const std::vector<Generation> several = model_.generate(prompts, options_);
  EXPECT_EQ(several[0].text, found.text);
  EXPECT_EQ(several[1].beams.size(), 4u);
  EXPECT_EQ(model_.branch("hello").generate(options_).text, found.text);
}

TEST_F(LanguageModelTest, ABeamSearchEndsAtStopTexts) {
  options_.beams = 3;
  options_.sampling.temperature = 0;
  const std::string whole = model_.generate("hello", options_).text;
  ASSERT_GT(whole.size(), 4u);
  options_.stop = {whole.substr(2, 1)};
  const Generation found = model_.generate("hello", options_);
  ASSERT_EQ(found.beams.size(), 3u);
  bool any = false;
  for (const BeamText& beam : found.beams) {
    any |= beam.finish_reason == "stop";
    EXPECT_EQ(beam.text.find(options_.stop[0]), std::string::npos);
  }
  EXPECT_TRUE(any);
}

TEST_F(LanguageModelTest, ABeamSearchOfOpenLengthFitsTheStore) {
  options_.beams = 4;
  options_.sampling.temperature = 0;
  options_.max_tokens = -1;
  const Generation found = model_.generate("hello", options_);
  EXPECT_EQ(found.finish_reason, "length");
  EXPECT_GT(found.tokens.size(), 20u);
  options_.max_tokens = model_.context();
  EXPECT_THROW(model_.generate("hello", options_), std::runtime_error) << "what is asked for";
}

}  // namespace
}  // namespace tessera
