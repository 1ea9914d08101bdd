// Sequences that share a beginning share its keys and values, to the last token, and answer as each
// would alone.
#include <gtest/gtest.h>

#include "base/error.h"
#include "engine/engine.h"
#include "files/gguf/reader.h"
#include "support/model_runner.h"
#include "support/run_to_end.h"
#include "support/sampled_request.h"
#include "support/temp_folder.h"
#include "support/test_backend.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

class ForkTest : public testing::Test {
 protected:
  ForkTest()
      : model_(open(), make_test_backend(2), {.context = 0, .rows = 48, .wanted_rows = 16}) {}

  static std::shared_ptr<const GgufFile> open() {
    static const test::TempFolder folder;
    return std::make_shared<const GgufFile>(GgufFile::open(write_tiny_model({}, folder.path())));
  }
  Engine engine(int blocks = 64) {
    return Engine(model_, {.kv_format = KvFormat::kF16, .kv_blocks = blocks},
                  [](Token) { return false; });
  }
  static std::vector<Token> random_tokens(int count, uint32_t seed) {
    return tessera::random_tokens(count, 300, seed);
  }
  std::vector<Token> alone(const Request& r) {
    Engine e = engine();
    const auto sequence = e.add(r);
    run_to_end(e);
    return sequence->tokens;
  }
  // n answers to one prompt.
  static std::vector<std::shared_ptr<Sequence>> add_siblings(Engine& e, const Request& r, int n) {
    std::vector<std::shared_ptr<Sequence>> all;
    for (int i = 0; i < n; ++i) {
      Request choice = r;
      choice.sampling.seed = *r.sampling.seed + static_cast<uint64_t>(i);
      all.push_back(e.add(choice, all.empty() ? nullptr : all.front()));
    }
    return all;
  }

  Model model_;
};

// Prompts that end within a block, with one, and one token behind it; and that share no whole
// block.
TEST_F(ForkTest, SiblingsComputeTheirPromptOnceAndAnswerAsAlone) {
  for (const int length : {1, 2, 20, 31, 32, 33, 64, 75, 100}) {
    const Request r = sampled_request(random_tokens(length, 3), 40);
    Engine e = engine();
    const auto siblings = add_siblings(e, r, 5);
    run_to_end(e);
    for (size_t i = 0; i < siblings.size(); ++i) {
      EXPECT_EQ(siblings[i]->tokens, alone(siblings[i]->request)) << length << ", " << i;
      // All but the last token, whose logits each of them draws from.
      EXPECT_EQ(siblings[i]->statistics.cached_tokens, i > 0 ? length - 1 : 0) << length;
    }
    EXPECT_EQ(e.pool().available(), e.pool().capacity());
  }
}

TEST_F(ForkTest, SiblingsPreemptedInASmallPoolStillAgree) {
  const Request r = sampled_request(random_tokens(50, 4), 90);
  Engine e = engine(10);
  const auto siblings = add_siblings(e, r, 4);
  run_to_end(e);
  EXPECT_GT(e.statistics().preemptions, 0u);
  for (const auto& sibling : siblings) EXPECT_EQ(sibling->tokens, alone(sibling->request));
  EXPECT_EQ(e.pool().available(), e.pool().capacity());
}

TEST_F(ForkTest, ASiblingThatIsCancelledLeavesThePromptToTheOthers) {
  const Request r = sampled_request(random_tokens(100, 5), 10);
  for (int steps = 0; steps < 5; ++steps) {
    Engine e = engine();
    const auto siblings = add_siblings(e, r, 3);
    for (int i = 0; i < steps; ++i) e.step();
    e.cancel(*siblings[0]);
    run_to_end(e);
    for (size_t i = 1; i < siblings.size(); ++i)
      EXPECT_EQ(siblings[i]->tokens, alone(siblings[i]->request)) << steps;
  }
}

TEST_F(ForkTest, WithDraftersToo) {
  Request r = sampled_request(random_tokens(45, 6), 60);
  r.decoder = "lookup";
  r.sampling.temperature = 0.3f;
  Engine e = engine();
  const auto siblings = add_siblings(e, r, 3);
  run_to_end(e);
  for (const auto& sibling : siblings) {
    Request plain = sibling->request;
    plain.decoder = "plain";
    EXPECT_EQ(sibling->tokens, alone(plain));
  }
}

TEST_F(ForkTest, AKeptTextIsSharedByWhoeverGoesOnFromIt) {
  Engine e = engine();
  Request text = sampled_request(random_tokens(70, 7), 0);
  text.keeps_blocks = true;
  const auto kept = e.add(text);
  run_to_end(e);
  EXPECT_EQ(kept->finished, FinishReason::kLength);
  EXPECT_EQ(kept->computed, 70);
  const int used = e.pool().capacity() - e.pool().available();
  EXPECT_EQ(used, 3);

  std::vector<std::shared_ptr<Sequence>> branches;
  for (uint32_t i = 0; i < 3; ++i) {
    Request r = text;
    r.keeps_blocks = false;
    r.max_tokens = 20;
    const auto more = random_tokens(static_cast<int>(3 + i), 80 + i);
    r.prompt.insert(r.prompt.end(), more.begin(), more.end());
    branches.push_back(e.add(r, kept));
  }
  run_to_end(e);
  for (const auto& branch : branches) {
    EXPECT_EQ(branch->statistics.cached_tokens, 70);
    EXPECT_EQ(branch->tokens, alone(branch->request));
  }
  EXPECT_EQ(e.pool().capacity() - e.pool().available(), used) << "the kept text stays";
}

TEST_F(ForkTest, KeptTextsGiveWayAndNothingChanges) {
  Engine e = engine(8);
  Request text = sampled_request(random_tokens(100, 8), 0);
  text.keeps_blocks = true;
  const auto kept = e.add(text);
  run_to_end(e);
  const Request large = sampled_request(random_tokens(200, 9), 40);  // needs all blocks
  const auto other = e.add(large);
  run_to_end(e);
  EXPECT_EQ(other->tokens, alone(large));
  EXPECT_TRUE(kept->blocks.blocks().empty());

  Request r = text;
  r.keeps_blocks = false;
  r.max_tokens = 12;
  const auto branch = e.add(r, kept);
  run_to_end(e);
  EXPECT_EQ(branch->tokens, alone(r));
}

TEST_F(ForkTest, LogprobsOfAContinuationAreThoseOfTheWholeText) {
  Request whole = sampled_request(random_tokens(60, 10), 0);
  whole.prompt_logprobs_from = 1;
  whole.top_logprobs = 1;
  Engine e = engine();
  const auto all = e.add(whole);
  run_to_end(e);
  ASSERT_EQ(all->prompt_logprobs.size(), 59u);

  for (const int from : {1, 31, 32, 33, 50, 59}) {
    Request prefix = sampled_request({whole.prompt.begin(), whole.prompt.begin() + from}, 0);
    prefix.keeps_blocks = true;
    const auto kept = e.add(prefix);
    run_to_end(e);
    Request rest = whole;
    rest.prompt_logprobs_from = from;
    const auto scored = e.add(rest, kept);
    run_to_end(e);
    ASSERT_EQ(scored->prompt_logprobs.size(), static_cast<size_t>(60 - from));
    EXPECT_EQ(scored->statistics.cached_tokens, from - 1);
    for (int i = from; i < 60; ++i) {
      const TokenLogprobs& a = scored->prompt_logprobs[static_cast<size_t>(i - from)];
      const TokenLogprobs& b = all->prompt_logprobs[static_cast<size_t>(i - 1)];
      EXPECT_EQ(a.token, b.token);
      EXPECT_EQ(a.logprob, b.logprob) << from << ", " << i;
    }
  }
}

TEST_F(ForkTest, NothingIsSharedAcrossSalts) {
  Engine e = engine();
  Request r = sampled_request(random_tokens(20, 11), 4);
  r.cache_salt = "red";
  const auto red = e.add(r);
  r.cache_salt = "blue";
  EXPECT_THROW(e.add(r, red), Error);
  run_to_end(e);
  EXPECT_EQ(e.pool().available(), e.pool().capacity());
}

}  // namespace
}  // namespace tessera
