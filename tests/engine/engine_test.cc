#include "engine/engine.h"

#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <new>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "files/gguf/reader.h"
#include "support/failing_constraint.h"
#include "support/model_runner.h"
#include "support/random_drafter.h"
#include "support/rewritten_gguf.h"
#include "support/run_to_end.h"
#include "support/sampled_request.h"
#include "support/temp_folder.h"
#include "support/test_backend.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

constexpr Token kEnd = 5;

class EngineTest : public testing::Test {
 protected:
  EngineTest()
      : model_(open({}), make_test_backend(2), {.context = 0, .rows = 48, .wanted_rows = 16}) {}

  static std::shared_ptr<const GgufFile> open(const TinyModelSpec& spec) {
    static const test::TempFolder folder;
    return std::make_shared<const GgufFile>(GgufFile::open(write_tiny_model(spec, folder.path())));
  }
  Engine engine(int blocks = 0) {
    return Engine(model_, {.kv_format = KvFormat::kF16, .kv_blocks = blocks},
                  [](Token token) { return token == kEnd; });
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

  Model model_;
};

TEST_F(EngineTest, ManySequencesAnswerAsEachAlone) {
  std::vector<Request> requests;
  for (int i = 0; i < 9; ++i)
    requests.push_back(sampled_request(random_tokens(1 + 17 * i, i), 10 + i, i));
  Engine e = engine(64);
  std::vector<std::shared_ptr<Sequence>> sequences;
  for (const Request& r : requests) sequences.push_back(e.add(r));
  run_to_end(e);
  for (size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(sequences[i]->tokens, alone(requests[i])) << i;
    EXPECT_EQ(sequences[i]->finished, FinishReason::kLength);
  }
  EXPECT_EQ(e.pool().available(), e.pool().capacity());
}

TEST_F(EngineTest, PreemptionLosesAndRepeatsNothing) {
  std::vector<Request> requests;
  for (int i = 0; i < 4; ++i) requests.push_back(sampled_request(random_tokens(30, i), 90, i));
  Engine e = engine(8);  // two sequences of 120 tokens fit
  std::vector<std::shared_ptr<Sequence>> sequences;
  for (const Request& r : requests) sequences.push_back(e.add(r));
  run_to_end(e);
  EXPECT_GT(e.statistics().preemptions, 0u);
  for (size_t i = 0; i < requests.size(); ++i)
    EXPECT_EQ(sequences[i]->tokens, alone(requests[i])) << i;
}

TEST_F(EngineTest, AModelThatAnswersWithNaNIsToldOf) {
  const test::TempFolder folder;
  const auto path =
      test::rewrite_gguf(write_tiny_model({}, folder.path()), folder / "broken.gguf",
                         {.bytes = [](const StoredTensor& tensor, std::vector<std::byte>& bytes) {
                           if (tensor.name == "output_norm.weight")
                             std::ranges::fill(bytes, std::byte{0xff});
                         }});
  Model broken(std::make_shared<const GgufFile>(GgufFile::open(path)), make_test_backend(2),
               {.context = 0, .rows = 48, .wanted_rows = 16});
  for (const float temperature : {0.0f, 1.0f}) {
    Engine e(broken, {}, [](Token token) { return token == kEnd; });
    Request r = sampled_request(random_tokens(5, 1), 20);
    r.sampling.temperature = temperature;
    const auto sequence = e.add(r);
    run_to_end(e);
    EXPECT_EQ(sequence->finished, FinishReason::kFailed);
    EXPECT_EQ(sequence->generated(), 0);
  }
}

TEST_F(EngineTest, ACachedPrefixGivesTheSameAnswer) {
  const auto prompt = random_tokens(100, 3);
  Engine e = engine();
  const auto cold = e.add(sampled_request(prompt, 20));
  run_to_end(e);
  const auto warm = e.add(sampled_request(prompt, 20));
  run_to_end(e);
  EXPECT_EQ(cold->statistics.cached_tokens, 0);
  EXPECT_EQ(warm->statistics.cached_tokens, 96);
  EXPECT_EQ(warm->tokens, cold->tokens);
}

// Tokens are chosen on all threads at once.
TEST_F(EngineTest, ManySequencesChooseAlikeOnAnyNumberOfThreads) {
  const std::vector<SamplingOptions> samplings = {
      {.temperature = 1, .top_k = 0, .top_p = 1, .min_p = 0},
      {.temperature = 0.9f, .top_k = 0, .top_p = 0.9f, .min_p = 0},
      {.temperature = 0},
      {.temperature = 1, .repetition_penalty = 1.2f, .frequency_penalty = 0.1f}};
  std::vector<std::vector<Token>> tokens;
  std::vector<std::vector<TokenLogprobs>> logprobs;
  for (const int threads : {1, 2, 5}) {
    Model model(open({}), make_test_backend(threads),
                {.context = 0, .rows = 48, .wanted_rows = 16});
    Engine e(model, {.kv_blocks = 64, .pool = std::make_shared<ThreadPool>(threads)},
             [](Token token) { return token == kEnd; });
    std::vector<std::shared_ptr<Sequence>> sequences;
    for (uint32_t i = 0; i < 12; ++i) {
      Request r = sampled_request(random_tokens(5, i), 20);
      r.sampling = samplings[i % samplings.size()];
      r.sampling.seed = i;
      if (i % 3 == 0) r.top_logprobs = 3;
      if (i % 5 == 0) r.decoder = "lookup";
      sequences.push_back(e.add(r));
    }
    run_to_end(e);
    const bool first = tokens.empty();
    for (size_t i = 0; i < sequences.size(); ++i) {
      if (first) {
        tokens.push_back(sequences[i]->tokens);
        logprobs.push_back(sequences[i]->logprobs);
      }
      EXPECT_EQ(sequences[i]->tokens, tokens[i]) << i << " on " << threads << " threads";
      ASSERT_EQ(sequences[i]->logprobs.size(), i % 3 == 0 ? 20u : 0u);
      for (size_t t = 0; t < sequences[i]->logprobs.size(); ++t) {
        EXPECT_EQ(sequences[i]->logprobs[t].logprob, logprobs[i][t].logprob);
        EXPECT_EQ(sequences[i]->logprobs[t].top, logprobs[i][t].top);
      }
    }
  }
}

// Allows an end token only; `complete` or not.
class EndingConstraint final : public Constraint, public ConstraintSource {
 public:
  EndingConstraint(Token end, bool complete) : complete_(complete), mask_(100) {
    mask_[static_cast<size_t>(end) / 64] = uint64_t{1} << (end % 64);
  }
  std::unique_ptr<Constraint> start() const override {
    return std::make_unique<EndingConstraint>(*this);
  }
  std::span<const uint64_t> allowed() override { return mask_; }
  bool complete() override { return complete_; }
  void accept(Token) override {}

 private:
  bool complete_;
  std::vector<uint64_t> mask_;
};

TEST_F(EngineTest, AnAnswerThatBreaksOffDoesNotSayThatItIsWhole) {
  for (const bool complete : {false, true}) {
    Engine e = engine();
    Request r = sampled_request(random_tokens(9, 1), 10, 1);
    r.ignore_eos = false;
    r.constraint = std::make_shared<EndingConstraint>(kEnd, complete);
    const auto sequence = e.add(r);
    run_to_end(e);
    EXPECT_EQ(sequence->generated(), 1);
    EXPECT_EQ(sequence->finished, complete ? FinishReason::kStop : FinishReason::kLength);
  }
}

TEST_F(EngineTest, AnyDrafterGivesTheSameTokens) {
  for (const float temperature : {0.0f, 1.0f}) {
    Request r = sampled_request(random_tokens(40, 8), 60);
    r.sampling.temperature = temperature;
    const auto expected = alone(r);

    Engine drafted = engine();
    const auto sequence = drafted.add(r);
    sequence->drafter = std::make_shared<RandomDrafter>(expected);
    run_to_end(drafted);
    EXPECT_EQ(sequence->tokens, expected);
    EXPECT_GT(sequence->statistics.accepted, 0);
    EXPECT_LT(sequence->statistics.steps, sequence->generated());

    r.decoder = "lookup";
    EXPECT_EQ(alone(r), expected);
  }
}

TEST_F(EngineTest, DraftedSequencesPreemptedInASmallPoolStillAgree) {
  std::vector<Request> requests;
  for (int i = 0; i < 4; ++i) requests.push_back(sampled_request(random_tokens(30, i), 90, i));
  Engine e = engine(8);
  std::vector<std::shared_ptr<Sequence>> sequences;
  std::vector<std::vector<Token>> expected;
  for (const Request& r : requests) {
    expected.push_back(alone(r));
    sequences.push_back(e.add(r));
    sequences.back()->drafter = std::make_shared<RandomDrafter>(expected.back());
  }
  run_to_end(e);
  for (size_t i = 0; i < requests.size(); ++i) EXPECT_EQ(sequences[i]->tokens, expected[i]) << i;
}

TEST_F(EngineTest, StopsAtTheEndTokenUnlessAskedNotTo) {
  Request r = sampled_request(random_tokens(10, 1), 50);
  r.sampling.logit_bias[kEnd] = 1000;
  r.ignore_eos = false;
  Engine e = engine();
  const auto sequence = e.add(r);
  run_to_end(e);
  EXPECT_EQ(sequence->finished, FinishReason::kStop);
  EXPECT_EQ(sequence->generated(), 1);
  r.ignore_eos = true;
  EXPECT_EQ(alone(r).size(), 60u);
}

TEST_F(EngineTest, TheContextIsFilledToItsLastToken) {
  const int context = model_.config().context;
  Request r = sampled_request(random_tokens(context - 3, 1), 1000);
  Engine e = engine();
  const auto sequence = e.add(r);
  run_to_end(e);
  EXPECT_EQ(sequence->finished, FinishReason::kLength);
  EXPECT_EQ(sequence->size(), context + 1);  // the last token was predicted, and is never read
}

TEST_F(EngineTest, CancellingFreesTheBlocks) {
  Engine e = engine();
  const auto sequence = e.add(sampled_request(random_tokens(40, 1), 50));
  e.step();
  EXPECT_LT(e.pool().available(), e.pool().capacity());
  e.cancel(*sequence);
  EXPECT_EQ(e.pool().available(), e.pool().capacity());
  EXPECT_FALSE(e.step());
  EXPECT_EQ(sequence->finished, FinishReason::kCancelled);
}

TEST_F(EngineTest, AnUnboundedNumberOfTokensIsBoundedByTheContext) {
  Engine e = engine();
  const auto sequence =
      e.add(sampled_request(random_tokens(5, 1), std::numeric_limits<int>::max()));
  run_to_end(e);
  EXPECT_EQ(sequence->finished, FinishReason::kLength);
  EXPECT_EQ(sequence->size(), model_.config().context + 1);
}

// What the model alone gives, all rows at once.
std::vector<TokenLogprobs> expected_logprobs(Model& model, std::span<const Token> tokens, int top) {
  const auto kv = model.make_kv(blocks_for(static_cast<int>(tokens.size())), KvFormat::kF16);
  std::vector<int32_t> table(blocks_for(static_cast<int>(tokens.size())));
  std::iota(table.begin(), table.end(), 0);
  std::vector<TokenLogprobs> logprobs;
  for (size_t first = 0; first + 1 < tokens.size(); first += 16) {
    Batch batch;
    batch.add_chain(tokens.subspan(first, std::min<size_t>(16, tokens.size() - first)),
                    static_cast<int>(first), table);
    for (int row = 0; row < batch.rows(); ++row) batch.wanted.push_back(row);
    const HostRows logits = model.backend().download(model.forward(batch, *kv));
    for (int row = 0; row < batch.rows() && first + row + 1 < tokens.size(); ++row) {
      logprobs.push_back(find_logprobs(logits.row(row), tokens[first + row + 1], top));
    }
  }
  return logprobs;
}

void expect_same(const std::vector<TokenLogprobs>& got,
                 const std::vector<TokenLogprobs>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].token, expected[i].token) << i;
    EXPECT_EQ(got[i].logprob, expected[i].logprob) << i;
    EXPECT_EQ(got[i].top, expected[i].top) << i;
  }
}

// Beside others, in chunks, with their beginning in the cache, and preempted.
TEST_F(EngineTest, PromptLogprobsAreThoseOfTheModel) {
  Engine e = engine(8);
  const auto shared = random_tokens(70, 2);
  e.add(sampled_request(shared, 1));
  run_to_end(e);
  std::vector<std::shared_ptr<Sequence>> sequences;
  for (const int length : {1, 2, 33, 70, 90}) {
    for (const int max_tokens : {0, 100}) {
      std::vector<Token> prompt = random_tokens(length, length);
      std::copy_n(shared.begin(), std::min(length, 64), prompt.begin());
      Request r = sampled_request(prompt, max_tokens);
      r.decoder = length == 33 ? "lookup" : "plain";
      r.top_logprobs = 2;
      r.prompt_logprobs_from = 1;
      sequences.push_back(e.add(r));
    }
  }
  run_to_end(e);
  EXPECT_GT(e.statistics().preemptions, 0u);
  EXPECT_EQ(e.pool().available(), e.pool().capacity());
  for (const auto& sequence : sequences) {
    EXPECT_EQ(sequence->finished, FinishReason::kLength);
    EXPECT_EQ(sequence->generated(), sequence->request.max_tokens);
    auto all = sequence->prompt_logprobs;
    ASSERT_EQ(all.size(), sequence->prompt_size() - 1);
    all.insert(all.end(), sequence->logprobs.begin(), sequence->logprobs.end());
    expect_same(all, expected_logprobs(model_, sequence->tokens, 2));
  }
}

TEST_F(EngineTest, AStopStringWinsOverTheLength) {
  Request r = sampled_request(random_tokens(5, 1), 3);
  int seen = 0;
  r.on_tokens = [&](std::span<const Token> tokens) {
    return (seen += static_cast<int>(tokens.size())) < 3;
  };
  Engine e = engine();
  const auto sequence = e.add(r);
  run_to_end(e);
  EXPECT_EQ(sequence->finished, FinishReason::kStop);
}

TEST_F(EngineTest, RefusesWhatCanNeverRun) {
  Engine e = engine(2);
  EXPECT_THROW(e.add(sampled_request({}, 1)), Error);
  EXPECT_THROW(e.add(sampled_request({100000}, 1)), Error);
  EXPECT_THROW(e.add(sampled_request({-1}, 1)), Error);
  EXPECT_THROW(e.add(sampled_request(random_tokens(1000, 1), 1)), Error);
  EXPECT_THROW(e.add(sampled_request(random_tokens(60, 1), 100)), Error);  // more than two blocks
  EXPECT_EQ(e.add(sampled_request(random_tokens(4, 1), 0))->finished, FinishReason::kLength);
}

// In its constraint or in the callback that takes its tokens, on whichever thread.
TEST_F(EngineTest, WhatFailsForOneSequenceEndsThatOneOnly) {
  for (const bool on_threads : {false, true}) {
    Engine e(model_,
             {.kv_format = KvFormat::kF16,
              .kv_blocks = 64,
              .pool = on_threads ? std::make_shared<ThreadPool>(2) : nullptr},
             [](Token token) { return token == kEnd; });
    std::vector<Request> requests;
    for (int i = 0; i < 6; ++i)
      requests.push_back(sampled_request(random_tokens(5 + 9 * i, i), 20, i));
    requests[1].constraint = std::make_shared<test::FailingConstraint>(0);
    requests[3].constraint = std::make_shared<test::FailingConstraint>(2);
    int calls = 0;
    requests[4].on_tokens = [&](std::span<const Token>) -> bool {
      if (++calls == 3) throw std::bad_alloc();
      return true;
    };
    std::vector<std::shared_ptr<Sequence>> sequences;
    for (const Request& r : requests) sequences.push_back(e.add(r));
    run_to_end(e);
    for (const size_t i : {1, 3, 4}) {
      EXPECT_EQ(sequences[i]->finished, FinishReason::kFailed) << i;
      EXPECT_THROW(std::rethrow_exception(sequences[i]->failure), std::bad_alloc);
    }
    for (const size_t i : {0, 2, 5}) EXPECT_EQ(sequences[i]->tokens, alone(requests[i])) << i;
    EXPECT_EQ(e.pool().available(), e.pool().capacity());
  }
}

// Clients change who has how many rows in a step, never a token.
TEST_F(EngineTest, ClientsShareStepsAndHaveTheTokensOfEachAlone) {
  Engine e = engine(40);
  std::vector<Request> requests;
  std::vector<std::shared_ptr<Sequence>> sequences;
  for (int i = 0; i < 24; ++i) {
    requests.push_back(sampled_request(random_tokens(3 + 11 * (i % 7), i), 8 + i, i));
    requests.back().client = std::string(1, static_cast<char>('a' + i * i % 5));
    if (i % 4 == 0) requests.back().decoder = "lookup";
    requests.back().priority = i % 3 - 1;
    sequences.push_back(e.add(requests.back()));
    if (i % 2 == 0) e.step();
  }
  run_to_end(e);
  for (size_t i = 0; i < requests.size(); ++i)
    EXPECT_EQ(sequences[i]->tokens, alone(requests[i])) << i;
}

}  // namespace
}  // namespace tessera
