#include "decode/beam_search.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "decode/sampler.h"
#include "paths.h"

namespace tessera {
namespace {

using Json = nlohmann::json;

constexpr int kVocabulary = 40;

// The toy model of tests/decode/make-beam-goldens.
float logit(const Json& golden, std::span<const Token> text, Token token) {
  auto x = golden.at("seed").get<uint64_t>();
  for (const uint64_t value : {text.size(), static_cast<size_t>(text[text.size() - 2]),
                               static_cast<size_t>(text.back()), static_cast<size_t>(token)}) {
    x = (x ^ value) * 0x9E3779B97F4A7C15;
    x ^= x >> 29;
  }
  double result = static_cast<double>(x >> 40) / (1 << 20);
  for (const Token end : golden.at("ends")) {
    if (token == end) result += golden.at("end_bias").get<double>();
  }
  return static_cast<float>(result * golden.at("scale").get<double>());
}

EarlyStopping early_stopping(const Json& value) {
  if (value.is_string()) return EarlyStopping::kNever;
  return value.get<bool>() ? EarlyStopping::kYes : EarlyStopping::kNo;
}

using Next = std::vector<std::vector<BeamToken>>;  // of each beam

struct Found {
  std::vector<Token> tokens;
  double score;
};

std::vector<Found> search(const Json& golden) {
  const auto prompt = golden.at("prompt").get<std::vector<Token>>();
  const auto ends = golden.at("ends").get<std::vector<Token>>();
  const int width = golden.at("beams"), most = golden.at("max_tokens");
  std::vector<Ban> bans;
  for (const Token banned : golden.at("banned")) bans.push_back({{banned}});
  for (const Token end : ends) bans.push_back({{end}, golden.at("min_tokens").get<size_t>()});
  Sampler sampler({.temperature = 0,
                   .repetition_penalty = golden.at("repetition_penalty").get<float>(),
                   .penalty_window = -1},
                  {}, bans);
  BeamSearch beams({.width = width,
                    .length_penalty = golden.at("length_penalty").get<double>(),
                    .early_stopping = early_stopping(golden.at("early_stopping"))},
                   most);
  const int count = BeamSearch::candidates(width, static_cast<int>(ends.size()));
  for (int length = 1;; ++length) {
    Next next;
    for (const auto& beam : beams.beams()) {
      std::vector<Token> text = prompt;
      for (const Token token : beams.answer(beam.node)) text.push_back(token);
      std::vector<float> row;
      for (Token token = 0; token < kVocabulary; ++token) row.push_back(logit(golden, text, token));
      next.push_back(sampler.likeliest(row, text, prompt.size(), count));
    }
    auto candidates = beams.best(next, count);
    for (auto& c : candidates)
      c.ends = length == most || std::ranges::find(ends, c.token.token) != ends.end();
    if (!beams.step(candidates)) break;
  }
  std::vector<Found> found;
  for (const auto& result : beams.results())
    found.push_back({beams.answer(result.node), result.score});
  return found;
}

TEST(BeamSearch, FindsWhatTransformersFind) {
  std::ifstream file(TESSERA_TEST_DATA "/beams.jsonl");
  int searches = 0;
  for (std::string line; std::getline(file, line); ++searches) {
    const Json golden = Json::parse(line);
    const std::vector<Found> found = search(golden);
    const Json& expected = golden.at("answers");
    ASSERT_EQ(found.size(), expected.size()) << line;
    for (size_t i = 0; i < found.size(); ++i) {
      EXPECT_EQ(found[i].tokens, expected[i].at("tokens").get<std::vector<Token>>())
          << i << " of " << line;
      EXPECT_NEAR(found[i].score, expected[i].at("score").get<double>(),
                  2e-5 * (1 + std::abs(found[i].score)));
    }
  }
  EXPECT_GE(searches, 100);
}

TEST(BeamSearch, OptionsThatAreOutOfRangeAreRefused) {
  EXPECT_THROW((BeamOptions{.width = 0}.validate()), Error);
  EXPECT_THROW((BeamOptions{.width = kMaxBeams + 1}.validate()), Error);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW((BeamOptions{.width = 2, .length_penalty = nan}.validate()), Error);
  BeamOptions{.width = kMaxBeams, .length_penalty = -3}.validate();
}

TEST(BeamSearch, OfEqualsTheBetterBeamAndTheLowerTokenAreFirst) {
  BeamSearch search({.width = 2}, 10);
  const Next first = {{{.token = 4, .logprob = -1}, {.token = 7, .logprob = -1}}};
  ASSERT_TRUE(search.step(search.best(first, 4)));
  const std::vector<BeamToken> same = {{.token = 3, .logprob = -2}, {.token = 5, .logprob = -2}};
  const auto best = search.best(Next{same, same}, 3);
  ASSERT_EQ(best.size(), 3u);
  EXPECT_EQ(best[0].parent, 0);
  EXPECT_EQ(best[0].token.token, 3);
  EXPECT_EQ(best[1].parent, 0);
  EXPECT_EQ(best[1].token.token, 5);
  EXPECT_EQ(best[2].parent, 1);
}

// A text that ends counts only among the best `width` of all continuations.
TEST(BeamSearch, AnEndBehindTheBestIsNoResult) {
  BeamSearch search({.width = 2}, 10);
  const std::vector<BeamToken> next = {{.token = 1, .logprob = -1},
                                       {.token = 2, .logprob = -2},
                                       {.token = 0, .logprob = -3},
                                       {.token = 3, .logprob = -4}};
  auto best = search.best(Next{next}, 4);
  best[2].ends = true;
  ASSERT_TRUE(search.step(best));
  EXPECT_EQ(search.results().size(), 0u);
  EXPECT_EQ(search.beams().size(), 2u);
}

TEST(BeamSearch, WhereNothingGoesOnItIsOver) {
  BeamSearch search({.width = 3}, 10);
  auto best = search.best(Next{{{.token = 0, .logprob = -1}}}, 6);
  best[0].ends = true;
  EXPECT_FALSE(search.step(best));
  ASSERT_EQ(search.results().size(), 1u) << "there is only one text";
  EXPECT_EQ(search.answer(search.results()[0].node), std::vector<Token>{0});
}

TEST(Likeliest, AreThoseOfTheSoftmaxInOrder) {
  std::vector<float> logits(1000);
  for (size_t i = 0; i < logits.size(); ++i)
    logits[i] = static_cast<float>((i * 7919) % 1000) / 100.0f;
  double total = 0;
  for (const float x : logits) total += std::exp(static_cast<double>(x));
  Sampler sampler({.temperature = 0});
  const auto tokens = sampler.likeliest(logits, {}, 0, 20);
  ASSERT_EQ(tokens.size(), 20u);
  for (size_t i = 0; i < tokens.size(); ++i) {
    EXPECT_FLOAT_EQ(logits[static_cast<size_t>(tokens[i].token)],
                    static_cast<float>(999 - i) / 100.0f);
    EXPECT_NEAR(tokens[i].logprob, logits[static_cast<size_t>(tokens[i].token)] - std::log(total),
                1e-5);
    EXPECT_EQ(tokens[i].logprob, tokens[i].raw);
  }
}

// As Hugging Face has it: what is changed is log-probabilities, and they are not normalized again.
TEST(Likeliest, BiasesAndBansChangeLogProbabilities) {
  const std::vector<float> logits = {1, 2, 3, 4};
  Sampler plain({.temperature = 0});
  const auto before = plain.likeliest(logits, {}, 0, 4);
  Sampler sampler({.temperature = 0, .logit_bias = {{0, 10.0f}}}, {}, {{.tokens = {3}}});
  const auto after = sampler.likeliest(logits, {}, 0, 4);
  ASSERT_EQ(after.size(), 3u) << "a banned token is none";
  EXPECT_EQ(after[0].token, 0);
  EXPECT_NEAR(after[0].logprob, before[3].logprob + 10, 1e-6);
  EXPECT_EQ(after[0].raw, before[3].raw);
  EXPECT_EQ(after[1].token, 2);
  EXPECT_NEAR(after[1].logprob, before[1].logprob, 1e-6);
}

TEST(Likeliest, ThereIsAlwaysOne) {
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  Sampler sampler({.temperature = 0});
  for (const float value : {kNaN, -kInfinity, kInfinity}) {
    const auto tokens = sampler.likeliest(std::vector<float>(100, value), {}, 0, 8);
    ASSERT_EQ(tokens.size(), 1u) << value;
    EXPECT_LT(tokens[0].logprob, -1e8f);
  }
  Sampler banned({.temperature = 0}, {}, {{.tokens = {0}}, {.tokens = {1}}});
  EXPECT_EQ(banned.likeliest(std::vector<float>{1, 2}, {}, 0, 8).size(), 1u);
}

}  // namespace
}  // namespace tessera
