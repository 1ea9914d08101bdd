// Exact under load: whatever a request's company, cancelled neighbours, shared prefixes and
// preemption, its text is the one it would have alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>

#include "engine/engine.h"
#include "engine/session.h"
#include "files/gguf/reader.h"
#include "support/run_to_end.h"
#include "support/temp_folder.h"
#include "support/test_backend.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

struct LoadSpec {
  int requests = 64;
  int blocks = 12;
  int longest_prompt = 150;
  int longest_answer = 60;
  int vocabulary = 300;
};

std::vector<Request> make_requests(const LoadSpec& spec) {
  std::mt19937 random(7);
  const auto below = [&](int n) { return static_cast<int>(random() % n); };
  std::vector<std::vector<Token>> prefixes(3);
  for (size_t i = 0; i < prefixes.size(); ++i) {
    for (int n = 20 + 40 * static_cast<int>(i); n > 0; --n) {
      prefixes[i].push_back(below(spec.vocabulary));
    }
  }
  std::vector<Request> requests;
  for (int i = 0; i < spec.requests; ++i) {
    Request request;
    if (below(3) > 0) request.prompt = prefixes[below(3)];
    const int rest = 1 + below(spec.longest_prompt - static_cast<int>(request.prompt.size()));
    for (int n = 0; n < rest; ++n) request.prompt.push_back(below(spec.vocabulary));
    request.max_tokens = 1 + below(spec.longest_answer);
    request.ignore_eos = true;
    request.sampling.temperature = i % 4 == 0 ? 0.0f : 1.0f;
    request.sampling.seed = i;
    request.sampling.frequency_penalty = i % 5 == 0 ? 0.5f : 0.0f;
    request.decoder = i % 3 == 0 ? "lookup" : "plain";
    request.priority = below(3) - 1;
    request.cache_salt = i % 7 == 0 ? "tenant" : "";
    request.top_logprobs = i % 6 == 0 ? 2 : -1;
    requests.push_back(std::move(request));
  }
  return requests;
}

struct Answer {
  std::vector<Token> tokens;
  std::vector<TokenLogprobs> logprobs;
};

void expect_same(const Sequence& sequence, const Answer& alone, int number) {
  EXPECT_EQ(sequence.tokens, alone.tokens) << number;
  ASSERT_EQ(sequence.logprobs.size(), alone.logprobs.size()) << number;
  for (size_t i = 0; i < alone.logprobs.size(); ++i) {
    EXPECT_EQ(sequence.logprobs[i].logprob, alone.logprobs[i].logprob) << number;
    EXPECT_EQ(sequence.logprobs[i].top, alone.logprobs[i].top) << number;
  }
}

void expect_exact_under_load(Model& model, const LoadSpec& spec) {
  const std::vector<Request> requests = make_requests(spec);
  std::vector<Answer> alone;
  for (const Request& request : requests) {
    Engine engine(model, {}, [](Token) { return false; });
    const auto sequence = engine.add(request);
    run_to_end(engine);
    alone.push_back({sequence->tokens, sequence->logprobs});
  }

  Engine engine(model, {.kv_blocks = spec.blocks, .sequences = 24, .prompt_rows = 40},
                [](Token) { return false; });
  std::mt19937 random(3);
  std::map<int, std::shared_ptr<Sequence>> sequences;
  std::map<int, int> cancel_at;  // a request -> tokens after which it is cancelled
  size_t next = 0;
  for (int step = 0;; ++step) {
    // They come in bursts.
    for (int burst = step % 3 == 0 ? static_cast<int>(random() % 6) : 0;
         next < requests.size() && burst > 0; --burst, ++next) {
      const int number = static_cast<int>(next);
      sequences[number] = engine.add(requests[number]);
      if (number % 5 == 2) cancel_at[number] = static_cast<int>(random() % 20);
    }
    for (const auto& [number, tokens] : cancel_at) {
      Sequence& sequence = *sequences[number];
      if (sequence.generated() < tokens || sequence.finished != FinishReason::kNone) continue;
      engine.cancel(sequence);
      EXPECT_TRUE(sequence.blocks.blocks().empty());
    }
    if (!engine.step() && next == requests.size()) break;
    ASSERT_LT(step, 100000) << "it does not end";
  }

  int cancelled = 0;
  for (const auto& [number, sequence] : sequences) {
    if (sequence->finished == FinishReason::kCancelled) {
      ++cancelled;
      const std::span whole(alone[number].tokens);
      EXPECT_TRUE(std::ranges::equal(sequence->tokens, whole.first(sequence->tokens.size())));
    } else {
      EXPECT_EQ(sequence->finished, FinishReason::kLength);
      expect_same(*sequence, alone[number], number);
    }
  }
  EXPECT_GT(cancelled, 0);
  EXPECT_GT(engine.statistics().preemptions, 0u);
  EXPECT_GT(engine.statistics().cached_tokens, 0u);
  EXPECT_EQ(engine.pool().available(), engine.pool().capacity());
}

TEST(Load, SixtyFourRequestsAnswerAsEachAloneOnATinyModel) {
  const test::TempFolder folder;
  const auto file = std::make_shared<const GgufFile>(
      GgufFile::open(write_tiny_model({.format = find_format("Q4_0")}, folder.path())));
  Model model(file, make_test_backend(2), {.context = 0, .rows = 96, .wanted_rows = 32});
  expect_exact_under_load(model, {});
}

TEST(Load, SixtyFourRequestsAnswerAsEachAloneOnSmolLM2) {
  if (std::getenv("TESSERA_LONG_TESTS") == nullptr) GTEST_SKIP() << "set TESSERA_LONG_TESTS";
  const Session session = Session::load("smollm2:135m", {}, {.rows = 256, .wanted_rows = 64});
  expect_exact_under_load(*session.model, {.requests = 64,
                                           .blocks = 16,
                                           .longest_prompt = 200,
                                           .longest_answer = 40,
                                           .vocabulary = 49152});
}

TEST(Load, AnEmbeddingDoesNotDependOnItsCompany) {
  const test::TempFolder folder;
  const auto file =
      std::make_shared<const GgufFile>(GgufFile::open(write_tiny_model({}, folder.path())));
  Model model(file, make_test_backend(2), {.context = 0, .rows = 96, .wanted_rows = 32});
  const std::vector<Request> requests = make_requests({.requests = 12});
  for (const Pooling pooling : {Pooling::kMean, Pooling::kLast}) {
    std::vector<std::vector<float>> alone;
    Engine busy(model, {.kv_blocks = 16, .prompt_rows = 33}, [](Token) { return false; });
    std::vector<std::shared_ptr<Sequence>> sequences;
    for (Request request : requests) {
      sequences.push_back(busy.add(request));  // somebody who generates
      request.pooling = pooling;
      Engine engine(model, {}, [](Token) { return false; });
      const auto sequence = engine.add(request);
      run_to_end(engine);
      alone.push_back(sequence->embedding);
      sequences.push_back(busy.add(request));
    }
    run_to_end(busy);
    for (size_t i = 0; i < alone.size(); ++i) {
      EXPECT_EQ(alone[i].size(), static_cast<size_t>(model.config().embedding));
      EXPECT_EQ(sequences[2 * i + 1]->embedding, alone[i]) << i;
    }
    EXPECT_EQ(busy.pool().available(), busy.pool().capacity());
  }
}

}  // namespace
}  // namespace tessera
