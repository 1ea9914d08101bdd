// Beam searches through the engine: the same texts as a plain search finds, whatever else runs.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "base/error.h"
#include "engine/session.h"
#include "files/gguf/reader.h"
#include "support/failing_constraint.h"
#include "support/model_runner.h"
#include "support/reference_beam_search.h"
#include "support/run_to_end.h"
#include "support/sampled_request.h"
#include "support/temp_folder.h"
#include "support/test_backend.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

class BeamsTest : public testing::Test {
 protected:
  static constexpr Token kEnd = 7, kOtherEnd = 90;

  static bool is_end(Token token) { return token == kEnd || token == kOtherEnd; }

  static std::filesystem::path path() {
    static const test::TempFolder folder;
    return write_tiny_model({.layers = 2, .context = 128}, folder.path());
  }
  BeamsTest()
      : checkpoint_(std::make_shared<const GgufFile>(GgufFile::open(path()))),
        model_(checkpoint_, make_test_backend(2), {.context = 0, .rows = 48, .wanted_rows = 24}),
        runner_(path()) {}

  Engine engine(int blocks = 200, KvFormat kv = KvFormat::kF16) {
    return Engine(model_, {.kv_format = kv, .kv_blocks = blocks}, is_end);
  }

  static Request request(std::mt19937& random) {
    const auto pick = [&](auto... values) {
      const std::vector all = {values...};
      return all[random() % all.size()];
    };
    Request r;
    r.prompt = random_tokens(pick(1, 2, 9, 31, 32, 33, 50), 300, random());
    r.max_tokens = pick(1, 2, 5, 12, 30);
    r.beams = {
        .width = pick(2, 2, 3, 4, 4, 5, 8),
        .length_penalty = pick(1.0, 1.0, 0.0, 0.6, 2.0, -1.0),
        .early_stopping = pick(EarlyStopping::kNo, EarlyStopping::kYes, EarlyStopping::kNever)};
    r.sampling = {.temperature = 0, .penalty_window = -1};
    r.sampling.logit_bias[kEnd] = pick(-20.0f, 0.0f, 2.0f, 4.0f);
    if (pick(0, 0, 1) == 1) r.sampling.logit_bias[kOtherEnd] = 3;
    if (pick(0, 0, 1) == 1) r.sampling.repetition_penalty = 1.2f;
    if (pick(0, 0, 0, 1) == 1) r.sampling.frequency_penalty = 0.5f;
    if (pick(0, 0, 1) == 1) r.min_tokens = std::min(r.max_tokens, pick(2, 4));
    return r;
  }

  // What a plain search finds. Texts are read by the model's forward pass alone.
  std::vector<test::ReferenceBeam> expected(Request r) {
    const int room = model_.config().context + 1 - static_cast<int>(r.prompt.size());
    const int ends = static_cast<int>(r.stop_tokens.size()) + (r.ignore_eos ? 0 : 2);
    const auto until = static_cast<size_t>(r.min_tokens);
    const auto ends_answer = [&](Token token) {
      return (!r.ignore_eos && is_end(token)) || std::ranges::count(r.stop_tokens, token) > 0;
    };
    for (Token token = 0; token < model_.config().vocabulary && until > 0; ++token) {
      if (ends_answer(token)) r.bans.push_back({{token}, until});
    }
    return test::reference_beam_search(r, std::min(r.max_tokens, room), ends, ends_answer,
                                       [&](const std::vector<Token>& text) {
                                         auto& row = rows_[text];
                                         if (row.empty()) row = runner_.run_text(text).back();
                                         return row;
                                       });
  }

  // Plain loops take their time (test_backend.h).
  static int rounds(int most) {
    return std::getenv("TESSERA_TEST_BACKEND") == nullptr ? most : most / 5;
  }

  void check(const std::vector<std::shared_ptr<Sequence>>& found, const std::string& what) {
    const auto answers = expected(found.front()->request);
    for (size_t i = 0; i < found.size(); ++i) {
      const Sequence& sequence = *found[i];
      if (i >= answers.size()) {
        EXPECT_EQ(sequence.finished, FinishReason::kNoAnswer) << what;
        continue;
      }
      const std::vector<Token> answer(
          sequence.tokens.begin() + static_cast<ptrdiff_t>(sequence.prompt_size()),
          sequence.tokens.end());
      EXPECT_EQ(answer, answers[i].answer) << what << ", text " << i;
      EXPECT_NEAR(sequence.score, answers[i].score, 1e-4 * (1 + std::abs(answers[i].score)))
          << what;
    }
  }

  std::shared_ptr<const GgufFile> checkpoint_;
  Model model_;
  ModelRunner runner_;
  std::map<std::vector<Token>, LogitRow> rows_;
};

TEST_F(BeamsTest, FindWhatAPlainSearchFinds) {
  std::mt19937 random(1);
  for (int i = 0; i < rounds(300); ++i) {
    Engine e = engine();
    const auto found = e.add_beams(request(random));
    run_to_end(e);
    check(found, "case " + std::to_string(i));
    EXPECT_EQ(e.pool().available(), e.pool().capacity()) << "nobody holds a block";
  }
}

TEST_F(BeamsTest, InCompanyToo) {
  std::mt19937 random(2);
  for (int round = 0; round < 10; ++round) {
    Engine e = engine();
    std::vector<std::vector<std::shared_ptr<Sequence>>> searches;
    std::vector<std::shared_ptr<Sequence>> others;
    for (int i = 0; i < 4; ++i) {
      searches.push_back(e.add_beams(request(random)));
      others.push_back(e.add(sampled_request(random_tokens(20 + i, 300, random()), 40, random())));
      for (int step = 0; step < i; ++step) e.step();
    }
    run_to_end(e);
    for (const auto& found : searches) check(found, "round " + std::to_string(round));
    for (const auto& other : others) {
      Engine alone = engine();
      const auto expected = alone.add(other->request);
      run_to_end(alone);
      EXPECT_EQ(other->tokens, expected->tokens);
    }
    EXPECT_EQ(e.pool().available(), e.pool().capacity());
  }
}

TEST_F(BeamsTest, WithQuantizedKeysAndValuesToo) {
  const test::TempFolder folder;
  Model model(std::make_shared<const GgufFile>(
                  GgufFile::open(write_tiny_model({.head_dim = 32}, folder.path()))),
              make_test_backend(2), {.context = 128, .rows = 48, .wanted_rows = 24});
  const auto engine_of = [&](int blocks) {
    return Engine(model, {.kv_format = KvFormat::kQ8_0, .kv_blocks = blocks}, is_end);
  };
  std::mt19937 random(12);
  for (int round = 0; round < 10; ++round) {
    Engine e = engine_of(24);  // some are preempted
    std::vector<std::vector<std::shared_ptr<Sequence>>> searches;
    for (int i = 0; i < 3; ++i) searches.push_back(e.add_beams(request(random)));
    run_to_end(e);
    for (const auto& found : searches) {
      Engine alone = engine_of(200);
      const auto expected = alone.add_beams(found.front()->request);
      run_to_end(alone);
      for (size_t i = 0; i < found.size(); ++i) {
        EXPECT_EQ(found[i]->tokens, expected[i]->tokens) << "round " << round;
        EXPECT_EQ(found[i]->score, expected[i]->score);
      }
    }
  }
}

// Whoever is preempted in the middle of a search is computed again, and nothing changes.
TEST_F(BeamsTest, PreemptionChangesNothing) {
  std::mt19937 random(3);
  uint64_t preemptions = 0;
  for (int round = 0; round < rounds(20); ++round) {
    Engine e = engine(14);
    std::vector<std::vector<std::shared_ptr<Sequence>>> searches;
    for (int i = 0; i < 3; ++i) {
      Request r = request(random);
      r.prompt = random_tokens(20 + 13 * i, 300, random());
      r.max_tokens = 40;
      r.beams.width = 2 + i;
      r.sampling.logit_bias[kEnd] = -20;
      searches.push_back(e.add_beams(r));
      e.add(sampled_request(random_tokens(40, 300, random()), 60, random()));
    }
    run_to_end(e);
    preemptions += e.statistics().preemptions;
    for (const auto& found : searches) check(found, "round " + std::to_string(round));
    EXPECT_EQ(e.pool().available(), e.pool().capacity());
  }
  EXPECT_GT(preemptions, static_cast<uint64_t>(rounds(20) / 2));
}

TEST_F(BeamsTest, KeepToAFormAndToStops) {
  Session session = Session::load(path().string(), {.threads = 2});
  std::mt19937 random(4);
  for (const char* grammar : {"root ::= [a-d]{3,9}", "root ::= \"yes\" | \"no\" | \"never\"",
                              "root ::= \"one\"", "root ::= (\"ab\" | \"cd\" [0-9]){2,4} \"!\""}) {
    for (int i = 0; i < 5; ++i) {
      Request r = request(random);
      r.max_tokens = 20;
      r.min_tokens = 0;
      r.sampling.logit_bias.clear();
      r.constraint = session.structured_output->grammar(grammar);
      const auto is_model_end = [&](Token token) {
        return session.tokenizer->is_end_of_generation(token);
      };
      Engine e(model_, {.kv_blocks = 200}, is_model_end);
      const auto found = e.add_beams(r);
      run_to_end(e);
      int ends = 0;
      for (Token token = 0; token < model_.config().vocabulary; ++token)
        ends += static_cast<size_t>(token) < session.tokenizer->vocabulary_size() &&
                is_model_end(token);
      const auto answers = test::reference_beam_search(
          r, 20, ends, is_model_end,
          [&](const std::vector<Token>& text) { return runner_.run_text(text).back(); });
      ASSERT_LE(answers.size(), found.size());
      for (size_t k = 0; k < answers.size(); ++k) {
        const auto answer = std::span(found[k]->tokens).subspan(r.prompt.size());
        EXPECT_TRUE(std::ranges::equal(answer, answers[k].answer)) << grammar << ", " << k;
        EXPECT_EQ(found[k]->finished, FinishReason::kStop);
      }
      for (size_t k = answers.size(); k < found.size(); ++k)
        EXPECT_EQ(found[k]->finished, FinishReason::kNoAnswer);
    }
  }
}

TEST_F(BeamsTest, EndAtStopTokensAndTextsAndIgnoreTheEnd) {
  std::mt19937 random(5);
  for (int i = 0; i < 12; ++i) {
    Request r = request(random);
    r.max_tokens = 15;
    r.min_tokens = 0;
    r.ignore_eos = i % 3 == 0;
    r.stop_tokens = {20, 30};
    r.sampling.logit_bias[20] = 2;
    if (i % 2 == 0) {
      r.ends_text = [](std::span<const Token> answer) { return answer.back() % 11 == 0; };
    }
    Engine e = engine();
    const auto found = e.add_beams(r);
    run_to_end(e);
    check(found, "case " + std::to_string(i));
  }
}

TEST_F(BeamsTest, OneBeamIsGreedy) {
  Request r = sampled_request(random_tokens(30, 300, 6), 30);
  r.sampling.temperature = 0;
  Engine e = engine();
  const auto plain = e.add(r);
  r.beams = {.width = 1, .length_penalty = 2, .early_stopping = EarlyStopping::kYes};
  const auto one = e.add_beams(r);
  run_to_end(e);
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0]->tokens, plain->tokens);
}

// A step costs a row for each beam, and the prompt is computed once.
TEST_F(BeamsTest, BeamsShareTheirBlocks) {
  Request r = sampled_request(random_tokens(96, 300, 7), 20);
  r.sampling.temperature = 0;
  r.beams.width = 4;
  Engine e = engine();
  e.add_beams(r);
  int most = 0;
  while (e.step()) most = std::max(most, e.pool().capacity() - e.pool().available());
  EXPECT_LE(most, 3 + 4 + 1) << "whole blocks of the prompt, and one for each beam";
  EXPECT_EQ(e.statistics().steps, 3u + 19u) << "96 tokens are three chunks";
}

TEST_F(BeamsTest, LogprobsAreTheModelsOwn) {
  Request r = sampled_request(random_tokens(40, 300, 8), 12);
  r.sampling.temperature = 0;
  r.sampling.logit_bias[50] = 5;
  r.top_logprobs = 3;
  r.prompt_logprobs_from = 1;
  r.beams.width = 3;
  Engine e = engine();
  const auto found = e.add_beams(r);
  run_to_end(e);
  for (const auto& sequence : found) {
    ASSERT_EQ(sequence->logprobs.size(), 12u);
    const auto rows = runner_.run_text(sequence->tokens);
    for (size_t i = 0; i < 12; ++i) {
      const auto expected = find_logprobs(rows[39 + i], sequence->tokens[40 + i], 3);
      EXPECT_EQ(sequence->logprobs[i].token, expected.token);
      EXPECT_NEAR(sequence->logprobs[i].logprob, expected.logprob, 1e-5);
      EXPECT_EQ(sequence->logprobs[i].top, expected.top);
    }
    EXPECT_EQ(sequence->prompt_logprobs.size(), sequence == found[0] ? 39u : 0u);
  }
}

TEST_F(BeamsTest, AnswersComeWholeAtTheEnd) {
  Request r = sampled_request(random_tokens(20, 300, 9), 10);
  r.sampling.temperature = 0;
  r.beams.width = 3;
  Engine e = engine();
  const auto found = e.add_beams(r);
  std::vector<size_t> told;
  for (const auto& sequence : found) {
    sequence->request.on_tokens = [&told](std::span<const Token> tokens) {
      told.push_back(tokens.size());
      return true;
    };
  }
  run_to_end(e);
  EXPECT_EQ(told, (std::vector<size_t>{10, 10, 10}));
}

TEST_F(BeamsTest, ACancelledSearchLeavesNothing) {
  Request r = sampled_request(random_tokens(60, 300, 10), 30);
  r.sampling.temperature = 0;
  r.beams.width = 4;
  for (int steps = 0; steps < 6; ++steps) {
    Engine e = engine();
    const auto found = e.add_beams(r);
    const auto other = e.add(sampled_request(random_tokens(20, 300, 11), 20));
    for (int i = 0; i < steps; ++i) e.step();
    e.cancel(*found[steps % 2]);
    run_to_end(e);
    for (const auto& sequence : found) EXPECT_EQ(sequence->finished, FinishReason::kCancelled);
    EXPECT_EQ(other->finished, FinishReason::kLength);
    EXPECT_EQ(e.pool().available(), e.pool().capacity());
  }
}

TEST_F(BeamsTest, WhatFailsEndsTheSearchAlone) {
  Request r = sampled_request(random_tokens(20, 300, 12), 10);
  r.sampling.temperature = 0;
  r.beams.width = 3;
  r.ends_text = [](std::span<const Token> answer) -> bool {
    if (answer.size() == 4) throw Error("no more");
    return false;
  };
  Engine e = engine();
  const auto found = e.add_beams(r);
  const auto other = e.add(sampled_request(random_tokens(20, 300, 13), 20));
  run_to_end(e);
  for (const auto& sequence : found) {
    EXPECT_EQ(sequence->finished, FinishReason::kFailed);
    EXPECT_NE(sequence->failure, nullptr);
  }
  EXPECT_EQ(other->generated(), 20);
  EXPECT_EQ(e.pool().available(), e.pool().capacity());
}

TEST_F(BeamsTest, WhatMakesNoSenseIsRefused) {
  Request r = sampled_request(random_tokens(20, 300, 14), 10);
  r.beams.width = 3;
  Engine e = engine();
  EXPECT_THROW(e.validate(r), Error) << "a temperature";
  r.sampling.temperature = 0;
  e.validate(r);
  Request other = r;
  other.decoder = "lookup";
  EXPECT_THROW(e.validate(other), Error);
  other = r;
  other.max_tokens = 0;
  EXPECT_THROW(e.validate(other), Error);
  other = r;
  other.beams.width = kMaxBeams + 1;
  EXPECT_THROW(e.validate(other), Error);
  const Engine few(model_, {.kv_blocks = 64, .sequences = 2}, is_end);
  EXPECT_THROW(few.validate(r), Error) << "they could never run together";
}

TEST_F(BeamsTest, TheLongestAnswerIsWhatTheStoreHolds) {
  for (const int blocks : {6, 9, 14, 200}) {
    for (const int prompt : {5, 40, 90}) {
      const Engine e = engine(blocks);
      Request r = sampled_request(random_tokens(prompt, 300, 15), 0);
      r.sampling.temperature = 0;
      r.beams.width = 3;
      r.max_tokens = e.longest_answer(r);
      EXPECT_GE(r.max_tokens, 1);
      if (blocks == 6 && prompt == 90) continue;  // nothing fits
      e.validate(r);
      if (prompt + r.max_tokens > 128) continue;  // the context is the bound
      ++r.max_tokens;
      EXPECT_THROW(e.validate(r), Error) << blocks << ", " << prompt;
    }
  }
}

}  // namespace
}  // namespace tessera
