// E4 as a client sees it: several answers to a prompt, each ended by a stop text, its length or the
// model, are those of plain decoding, whatever drafts. A stop text may end in the middle of a run
// of accepted drafts, and the rest of that is no part of the answer.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "engine/session.h"
#include "serve/loop/engine_loop.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"

namespace tessera::serve {
namespace {

// What a client reads of an answer.
struct Read {
  std::string text;
  std::vector<TokenLogprobs> logprobs;
  Outcome outcome;
};

class StopTextsTest : public testing::Test {
 protected:
  using Choices = std::vector<JobChoice>;

  template <typename T>
  T pick(std::initializer_list<T> values) {
    return values.begin()[random_() % values.size()];
  }

  Choices choices() {
    Request r;
    for (size_t i = 1 + random_() % 12; i > 0; --i)
      r.prompt.push_back(static_cast<Token>(random_() % 300));
    const std::vector<Token> once = r.prompt;
    for (size_t times = random_() % 4; times > 0; --times)
      r.prompt.insert(r.prompt.end(), once.begin(), once.end());
    r.top_logprobs = 0;
    Choices all(1 + random_() % 4);
    for (size_t i = 0; i < all.size(); ++i) {
      r.max_tokens = 1 + static_cast<int>(random_() % 40);
      r.ignore_eos = random_() % 4 != 0;
      r.min_tokens = pick({0, 0, 0, 5});
      r.sampling.temperature = pick({0.0F, 0.8F, 1.2F});
      r.sampling.seed = random_() % 1000;
      r.constraint = random_() % 4 == 0 ? form_ : nullptr;
      all[i].request = r;
      all[i].sibling = i == 0 ? -1 : 0;
    }
    return all;
  }

  // Parts of a text, at whole characters.
  std::vector<std::string> stops_in(const std::string& text) {
    std::vector<std::string> stops;
    const auto character = [&](size_t at) {
      while (at < text.size() && (text[at] & 0xC0) == 0x80) ++at;
      return std::min(at, text.size());
    };
    for (size_t i = 1 + random_() % 3; i > 0 && !text.empty(); --i) {
      const size_t first = character(random_() % text.size());
      const size_t end = character(first + 1 + random_() % 6);
      if (end > first) stops.push_back(text.substr(first, end - first));
    }
    return stops;
  }

  static std::vector<Read> read(Job& job) {
    std::vector<Read> answers(static_cast<size_t>(job.choices()));
    while (!job.is_done()) {
      for (Update& update : job.wait(std::chrono::milliseconds(100))) {
        Read& answer = answers[static_cast<size_t>(update.choice)];
        answer.text += update.text;
        std::ranges::move(update.logprobs, std::back_inserter(answer.logprobs));
        if (update.outcome) answer.outcome = *update.outcome;
      }
    }
    return answers;
  }

  std::mt19937 random_{5};
  test::TempFolder folder_;
  std::string path_ = write_tiny_model({.head_dim = 32}, folder_.path()).string();
  Session session_ = Session::load(path_, {.threads = 2, .draft = path_});
  std::shared_ptr<const ConstraintSource> form_ =
      session_.structured_output->grammar(R"(root ::= ("one " | "two " | [a-f]{1,3} "-")* "end")");
  std::unique_ptr<Engine> plain_engine_ = session_.make_engine({.kv_blocks = 64});
  std::unique_ptr<Engine> engine_ = session_.make_engine({.kv_blocks = 12});
  Metrics metrics_{"tiny"};
  EngineLoop plain_{*plain_engine_, *session_.tokenizer, metrics_, 64};
  EngineLoop drafting_{*engine_, *session_.tokenizer, metrics_, 64};
};

TEST_F(StopTextsTest, EndAnswersAsInPlainDecoding) {
  const std::string decoders[] = {
      "auto",    "auto",   "lookup",     "lookup,nodes=4,least=0.01",
      "forced",  "draft",  "prediction", "prediction,nodes=64,least=0.01",
      "recycle", "jacobi", "lookahead",  "plain"};
  int stopped = 0, inside = 0;
  for (int round = 0; round < 200; ++round) {
    std::vector<Choices> jobs(1 + random_() % 2);
    std::vector<std::vector<Read>> expected;
    for (Choices& job : jobs) {
      job = choices();
      const auto whole = read(*plain_.submit(job));
      const auto stops = stops_in(whole[random_() % whole.size()].text);
      for (JobChoice& choice : job) choice.stop = stops;
      expected.push_back(read(*plain_.submit(job)));
      for (size_t i = 0; i < whole.size(); ++i) {
        if (stops.size() == 1 && job[i].request.min_tokens == 0) {
          const std::string& text = whole[i].text;
          EXPECT_EQ(expected.back()[i].text, text.substr(0, text.find(stops[0])));
        }
        for (const TokenLogprobs& token : whole[i].logprobs)
          job[i].request.prediction.push_back(token.token);
        job[i].request.decoder = decoders[random_() % std::size(decoders)];
      }
    }
    std::vector<std::shared_ptr<Job>> running;
    for (const Choices& job : jobs) running.push_back(drafting_.submit(job));
    for (size_t j = 0; j < jobs.size(); ++j) {
      const auto answers = read(*running[j]);
      for (size_t i = 0; i < answers.size(); ++i) {
        const Read &got = answers[i], &plain = expected[j][i];
        SCOPED_TRACE(fmt::format("round {}, {}", round, jobs[j][i].request.decoder));
        ASSERT_EQ(got.text, plain.text);
        ASSERT_EQ(got.outcome.finish_reason, plain.outcome.finish_reason);
        ASSERT_EQ(got.outcome.generated_tokens, plain.outcome.generated_tokens);
        ASSERT_EQ(got.logprobs.size(), plain.logprobs.size());
        for (size_t t = 0; t < got.logprobs.size(); ++t) {
          ASSERT_EQ(got.logprobs[t].token, plain.logprobs[t].token);
          ASSERT_EQ(got.logprobs[t].logprob, plain.logprobs[t].logprob);
        }
        const Outcome& outcome = got.outcome;
        if (outcome.finish_reason == "stop") ++stopped;
        if (outcome.steps + outcome.accepted > outcome.generated_tokens) ++inside;
      }
    }
  }
  EXPECT_GT(stopped, 100);
  EXPECT_GT(inside, 20) << "ends within a run of drafts";
  drafting_.stop();
  EXPECT_GT(engine_->statistics().cached_tokens, 0u) << "siblings share their prompt";
}

}  // namespace
}  // namespace tessera::serve
