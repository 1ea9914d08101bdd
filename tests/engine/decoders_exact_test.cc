// E4: whatever proposes tokens, the text is that of plain decoding, in every setting and company.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/session.h"
#include "files/gguf/reader.h"
#include "files/open.h"
#include "files/open_adapter.h"
#include "grammar/structured_output.h"
#include "support/eagle_draft.h"
#include "support/medusa_heads.h"
#include "support/random_drafter.h"
#include "support/run_to_end.h"
#include "support/temp_folder.h"
#include "support/test_backend.h"
#include "support/tiny_lora.h"
#include "support/tiny_model.h"
#include "text/tokenizer.h"
#include "text/vocabulary_bridge.h"

namespace tessera {
namespace {

class DecodersTest : public testing::TestWithParam<KvFormat> {
 protected:
  template <typename T>
  T pick(std::initializer_list<T> values) {
    return values.begin()[random_() % values.size()];
  }

  // Prompts that repeat themselves, so that there is something to be looked up.
  std::vector<Token> prompt() {
    std::vector<Token> tokens(1 + random_() % 12);
    for (Token& token : tokens) token = static_cast<Token>(random_() % vocabulary_);
    const std::vector<Token> once = tokens;
    for (size_t times = random_() % 5; times > 0; --times)
      tokens.insert(tokens.end(), once.begin(), once.end());
    return tokens;
  }

  Request request() {
    Request r;
    r.prompt = prompt();
    r.max_tokens = 1 + static_cast<int>(random_() % 40);
    r.ignore_eos = random_() % 4 != 0;
    r.sampling.temperature = pick({0.0F, 0.0F, 0.3F, 0.8F, 1.2F});
    r.sampling.top_k = pick({0, 0, 5, 40});
    r.sampling.top_p = pick({1.0F, 0.9F, 0.5F});
    r.sampling.min_p = pick({0.0F, 0.05F});
    r.sampling.repetition_penalty = pick({1.0F, 1.0F, 1.3F});
    r.sampling.presence_penalty = pick({0.0F, 0.0F, 0.5F});
    r.sampling.frequency_penalty = pick({0.0F, 0.0F, 0.4F});
    r.sampling.seed = random_() % 1000;
    if (random_() % 4 == 0)
      r.sampling.logit_bias[static_cast<Token>(random_() % vocabulary_)] = pick({-5.0F, 5.0F});
    r.min_tokens = pick({0, 0, 0, 6});
    for (size_t i = random_() % 3; i > 0; --i)
      r.stop_tokens.push_back(static_cast<Token>(random_() % vocabulary_));
    if (random_() % 4 == 0)
      r.bans.push_back({{static_cast<Token>(random_() % vocabulary_)}, random_() % 20});
    if (random_() % 4 == 0) r.constraint = forms_[random_() % forms_.size()];
    r.top_logprobs = pick({-1, -1, 0, 2});
    r.cache_salt = pick({"", "", "a", "b"});
    r.adapters = mixes_[random_() % mixes_.size()];
    r.client = pick({"", "x"});
    r.priority = pick({0, 0, -3, 5});
    return r;
  }

  static std::vector<std::shared_ptr<const ConstraintSource>> forms_of(
      StructuredOutput& structured) {
    return {structured.json_schema(R"({"type": "array", "items": {"enum": ["red", "blue", 7]}})"),
            structured.json_schema(
                R"({"type": "object", "properties": {"first name": {"type": "string"},
                                  "number": {"type": "integer"}},
                                  "required": ["first name", "number"]})"),
            structured.grammar(R"(root ::= ("one " | "two " | [a-f]{1,3} "-")* "end")")};
  }

  // Another answer to the same prompt, by other rules.
  Request sibling_of(const Request& other) {
    Request r = request();
    r.prompt = other.prompt;
    r.cache_salt = other.cache_salt;
    if (random_() % 4 != 0) r.adapters = other.adapters;
    return r;
  }

  // What it may be told of its answer: some of it, wrong here and there.
  std::vector<Token> prediction(std::span<const Token> answer) {
    std::vector<Token> text(answer.begin(), answer.end());
    if (random_() % 3 == 0) return {};
    for (size_t i = random_() % 4; i > 0 && !text.empty(); --i) {
      const auto at = text.begin() + static_cast<std::ptrdiff_t>(random_() % text.size());
      switch (random_() % 3) {
        case 0:
          *at = static_cast<Token>(random_() % vocabulary_);
          break;
        case 1:
          text.erase(at);
          break;
        default:
          text.insert(at, static_cast<Token>(random_() % vocabulary_));
      }
    }
    return text;
  }

  struct Draft {
    Model* model;
    const VocabularyBridge* bridge = nullptr;
  };

  std::mt19937 random_{11};
  void compare(Model& model, const std::vector<Draft>& drafts, int cases,
               NextTokens* next_tokens = nullptr);
  void compare_real(const char* name);

  // Low-rank adapters of model_, which texts may go through.
  void load_adapters() {
    const auto checkpoint = open_checkpoint(write_tiny_model({.head_dim = 32}, folder_.path()));
    for (const uint64_t seed : {1, 2}) {
      const auto path =
          write_tiny_peft({.seed = seed, .rank = 6}, *checkpoint, folder_ / std::to_string(seed));
      model_.add_adapter(open_adapter(path, *checkpoint));
    }
    mixes_ = {{}, {{0, 1.0F}}, {{1, 1.0F}}, {{0, 0.5F}, {1, -1.0F}}};
  }

  std::vector<AdapterMix> mixes_ = {{}};
  Token vocabulary_ = 300;
  test::TempFolder folder_;
  Model model_{std::make_shared<const GgufFile>(
                   GgufFile::open(write_tiny_model({.head_dim = 32}, folder_.path()))),
               make_test_backend(2),
               {.context = 0, .rows = 96, .wanted_rows = 64}};
  std::unique_ptr<const Tokenizer> tokenizer_ = Tokenizer::make(
      GgufFile::open(write_tiny_model({.head_dim = 32}, folder_.path())).read_tokenizer());
  StructuredOutput structured_{*tokenizer_};
  std::vector<std::shared_ptr<const ConstraintSource>> forms_ = forms_of(structured_);
  // Another model, and the same one with less precision and not all logits: seldom right, and
  // mostly.
  Model other_{std::make_shared<const GgufFile>(
                   GgufFile::open(write_tiny_model({.seed = 2, .head_dim = 32}, folder_.path()))),
               make_test_backend(2),
               {.context = 0, .rows = 96, .wanted_rows = 64}};
  Model alike_{std::make_shared<const GgufFile>(
                   GgufFile::open(write_tiny_model({.head_dim = 32}, folder_.path()))),
               make_test_backend(2),
               {.context = 0, .rows = 96, .wanted_rows = 64},
               {},
               {.logits = 250, .format = [](uint64_t) -> const Format* { return &kQ8_0; }}};
  // One of another vocabulary.
  const std::shared_ptr<const GgufFile> bytes_file_ = std::make_shared<const GgufFile>(
      GgufFile::open(write_tiny_model({.seed = 3, .merges = false}, folder_.path())));
  Model bytes_{bytes_file_, make_test_backend(2), {.context = 0, .rows = 96, .wanted_rows = 64}};
  VocabularyBridge bridge_{*tokenizer_, Tokenizer::make(bytes_file_->read_tokenizer())};
};

// How much `auto` drafts is decided by the clock, so no two runs of this test are alike; all of
// them must give the same texts.
void DecodersTest::compare(Model& model, const std::vector<Draft>& drafts, int cases,
                           NextTokens* next_tokens) {
  const std::string decoders[] = {"auto",
                                  "auto",
                                  "lookup",
                                  "lookup,nodes=4,least=0.01",
                                  "prediction",
                                  "draft",
                                  "draft,nodes=40,least=0.01",
                                  "forced",
                                  "jacobi",
                                  "jacobi,window=3",
                                  "lookahead",
                                  "lookahead,window=2,ngram=2,guesses=3",
                                  "lookahead,window=4,ngram=5",
                                  "medusa",
                                  "medusa,nodes=50,least=0.01",
                                  "mtp",
                                  "mtp,nodes=20,least=0.01",
                                  "recycle",
                                  "recycle,nodes=64,least=0.01",
                                  "random"};
  const auto heads_file = folder_.write(
      "heads.safetensors", test::random_medusa_heads(3, model.config().embedding, 300, 1));
  MedusaHeads heads(*open_checkpoint(heads_file), model);
  int compared = 0, drafted = 0, accepted = 0, preempted = 0, shared = 0, cancelled = 0;
  while (compared < cases) {
    std::vector<Request> requests;
    std::vector<size_t> first;  // of the answers to the same prompt: the place of the first
    for (size_t i = 1 + random_() % 5; i > 0; --i) {
      const bool is_sibling = !requests.empty() && random_() % 3 == 0;
      first.push_back(is_sibling ? first.back() : requests.size());
      requests.push_back(is_sibling ? sibling_of(requests.back()) : request());
    }
    std::vector<std::shared_ptr<Sequence>> plain;
    Engine alone(model, {.kv_format = GetParam(), .kv_blocks = 64},
                 [](Token token) { return token % 37 == 5; });
    for (const Request& r : requests) {
      plain.push_back(alone.add(r));
      run_to_end(alone);
    }
    const Draft draft = drafts[random_() % drafts.size()];
    // Memory for some of them, so that some are preempted.
    int longest = 0;
    for (const auto& sequence : plain) longest = std::max(longest, sequence->size());
    Engine engine(model,
                  {.kv_format = GetParam(),
                   .kv_blocks = blocks_for(longest + 64) + static_cast<int>(random_() % 4),
                   .states = pick({3, 4, 6, 9, 40}),
                   .draft_budget = pick({1, 2, 7, 31, 63}),
                   .step_rows = pick({0, 0, 20}),
                   .draft = draft.model,
                   .draft_bridge = draft.bridge,
                   .heads = &heads,
                   .next_tokens = next_tokens},
                  [](Token token) { return token % 37 == 5; });
    std::vector<std::shared_ptr<Sequence>> sequences;
    for (size_t i = 0; i < requests.size(); ++i) {
      Request r = requests[i];
      const std::string& decoder = decoders[random_() % std::size(decoders)];
      const bool is_there = next_tokens != nullptr || !decoder.starts_with("mtp");
      r.decoder = decoder == "random" || !is_there ? "plain" : decoder;
      r.prediction = prediction(std::span(plain[i]->tokens).subspan(plain[i]->prompt_size()));
      sequences.push_back(engine.add(std::move(r), first[i] < i ? sequences[first[i]] : nullptr));
      if (decoder == "random")
        sequences.back()->drafter =
            std::make_shared<RandomDrafter>(plain[i]->tokens, static_cast<uint32_t>(random_()));
      for (size_t steps = random_() % 4; steps > 0; --steps) engine.step();
      if (random_() % 8 == 0) engine.cancel(*sequences[random_() % sequences.size()]);
    }
    run_to_end(engine);
    ASSERT_EQ(engine.pool().available(), engine.pool().capacity()) << compared;
    ASSERT_EQ(engine.pool().available_states(), engine.pool().states()) << compared;
    for (size_t i = 0; i < requests.size(); ++i, ++compared) {
      const Sequence &expected = *plain[i], &got = *sequences[i];
      if (got.finished == FinishReason::kCancelled) {  // of as much as there is
        ++cancelled;
        ASSERT_LE(got.size(), expected.size());
        ASSERT_TRUE(
            std::ranges::equal(got.tokens, std::span(expected.tokens).first(got.tokens.size())))
            << compared << ": " << got.request.decoder;
        continue;
      }
      ASSERT_EQ(got.tokens, expected.tokens) << compared << ": " << got.request.decoder;
      ASSERT_EQ(got.finished, expected.finished) << compared;
      ASSERT_EQ(got.logprobs.size(), expected.logprobs.size());
      for (size_t t = 0; t < got.logprobs.size(); ++t) {
        ASSERT_EQ(got.logprobs[t].logprob, expected.logprobs[t].logprob);
        ASSERT_EQ(got.logprobs[t].top, expected.logprobs[t].top);
      }
      drafted += got.statistics.drafted;
      accepted += got.statistics.accepted;
      preempted += got.statistics.preemptions;
      // Only siblings share what is no whole block.
      if (got.statistics.cached_tokens % kBlockTokens != 0) ++shared;
    }
  }
  EXPECT_GT(accepted, cases / 2);
  EXPECT_GT(drafted, accepted);
  EXPECT_GT(preempted, 0);
  EXPECT_GT(shared, 0);
  EXPECT_GT(cancelled, 0);
}

TEST_P(DecodersTest, GiveThePlainTextInEveryCompany) {
  // Plain loops take their time (test_backend.h).
  const int cases = std::getenv("TESSERA_TEST_BACKEND") == nullptr ? 5000 : 100;
  load_adapters();
  compare(model_, {{&other_}, {&alike_}, {&alike_}, {&bytes_, &bridge_}}, cases);
}

// States cannot be taken back, so what is drafted, forked and preempted goes other ways there.
TEST_P(DecodersTest, GiveThePlainTextOfRecurrentLayers) {
  const int cases = std::getenv("TESSERA_TEST_BACKEND") == nullptr ? 400 : 30;
  const auto checkpoint = std::make_shared<const GgufFile>(GgufFile::open(write_tiny_model(
      {.architecture = "qwen35", .head_dim = 32, .next_token_layers = 1}, folder_.path())));
  Model recurrent(checkpoint, make_test_backend(2), {.context = 0, .rows = 96, .wanted_rows = 64});
  NextTokens next_tokens(checkpoint, recurrent);
  compare(recurrent, {{&other_}, {&bytes_, &bridge_}}, cases, &next_tokens);
}

// A layer that was trained for a model without one, and knows some of its tokens.
TEST_P(DecodersTest, GiveThePlainTextWithALayerApart) {
  const int cases = std::getenv("TESSERA_TEST_BACKEND") == nullptr ? 400 : 100;
  std::vector<int32_t> known(200);
  std::iota(known.begin(), known.end(), 40);
  const auto draft = test::write_eagle_draft(
      write_tiny_model({.head_dim = 32, .next_token_layers = 1}, folder_.path()),
      folder_ / "draft.gguf", {.tokens = known});
  const auto checkpoint = std::make_shared<const GgufFile>(
      GgufFile::open(write_tiny_model({.head_dim = 32}, folder_.path())));
  NextTokens next_tokens(checkpoint, model_, open_checkpoint(draft));
  load_adapters();
  compare(model_, {{&other_}, {&alike_}}, cases, &next_tokens);
}

// Real models, which have something to say; each is its own draft, cut short.
void DecodersTest::compare_real(const char* name) {
  if (std::getenv("TESSERA_LONG_TESTS") == nullptr) GTEST_SKIP() << "set TESSERA_LONG_TESTS";
  const Session session =
      Session::load(name, {.draft = std::string(name)}, {.rows = 96, .wanted_rows = 64});
  forms_ = forms_of(*session.structured_output);
  vocabulary_ = 2000;
  compare(*session.model, {{session.draft.get()}}, 100);
}

TEST_P(DecodersTest, GiveThePlainTextOnSmolLM2) {
  compare_real("smollm2:135m");
}

TEST_P(DecodersTest, GiveThePlainTextOnGemma3) {
  compare_real("gemma3:270m");
}

INSTANTIATE_TEST_SUITE_P(Kv, DecodersTest, testing::Values(KvFormat::kF16, KvFormat::kQ8_0),
                         [](const auto& format) {
                           return format.param == KvFormat::kF16 ? "f16" : "q8_0";
                         });

}  // namespace
}  // namespace tessera
