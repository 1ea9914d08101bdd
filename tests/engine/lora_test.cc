// Texts that go through different adapters, side by side: each is as it would be alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "engine/session.h"
#include "files/open.h"
#include "files/open_adapter.h"
#include "support/error_of.h"
#include "support/model_runner.h"
#include "support/run_to_end.h"
#include "support/sampled_request.h"
#include "support/temp_folder.h"
#include "support/test_backend.h"
#include "support/tiny_lora.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

using testing::HasSubstr;

class LoraEngineTest : public testing::Test {
 protected:
  LoraEngineTest() {
    for (uint64_t seed = 0; seed < 8; ++seed) {
      const auto path = write_tiny_peft({.seed = seed + 1, .rank = 4 + 4 * static_cast<int>(seed)},
                                        *checkpoint_, folder_ / std::to_string(seed));
      model_.add_adapter(open_adapter(path, *checkpoint_));
    }
  }
  Request request(AdapterMix mix, float temperature = 1, std::vector<Token> prompt = {}) const {
    Request r = sampled_request(prompt.empty() ? prompt_ : std::move(prompt), 40, 7);
    r.sampling.temperature = temperature;
    r.adapters = std::move(mix);
    return r;
  }
  Engine engine(Engine::Options options = {}) {
    return {model_, options, [](Token) { return false; }};
  }
  std::vector<Token> alone(const Request& r) {
    Engine own = engine();
    const auto sequence = own.add(r);
    run_to_end(own);
    return sequence->tokens;
  }

  test::TempFolder folder_;
  const std::filesystem::path path_ = write_tiny_model({.format = &kQ4_0}, folder_.path());
  const std::shared_ptr<const Checkpoint> checkpoint_ = open_checkpoint(path_);
  Model model_{checkpoint_, make_test_backend(2), {.context = 0, .rows = 96, .wanted_rows = 64}};
  const std::vector<Token> prompt_ = random_tokens(75, 300, 9);
};

TEST_F(LoraEngineTest, EightInOneBatchAreEachAsAlone) {
  for (const float temperature : {0.0F, 0.8F}) {
    std::vector<std::vector<Token>> expected;
    for (int i = 0; i < 8; ++i) expected.push_back(alone(request({{i, 1.0F}}, temperature)));
    expected.push_back(alone(request({}, temperature)));
    std::vector<std::vector<Token>> different = expected;
    std::ranges::sort(different);
    EXPECT_EQ(std::ranges::adjacent_find(different), different.end()) << "each says something else";

    // Memory for half of them, so that some are preempted and begin again.
    Engine all = engine({.kv_blocks = 22});
    std::vector<std::shared_ptr<Sequence>> sequences;
    for (int i = 0; i < 8; ++i) sequences.push_back(all.add(request({{i, 1.0F}}, temperature)));
    sequences.push_back(all.add(request({}, temperature)));
    run_to_end(all);
    for (size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(sequences[i]->tokens, expected[i]) << i;
    EXPECT_GT(all.statistics().preemptions, 0U);
  }
}

TEST_F(LoraEngineTest, PrefixesAreSharedByThoseOfTheSameAdaptersOnly) {
  Engine all = engine({.kv_blocks = 200});
  const std::vector<AdapterMix> mixes = {
      {}, {{0, 1.0F}}, {{1, 1.0F}}, {{0, 0.5F}}, {{0, 1.0F}, {1, 1.0F}}};
  for (const AdapterMix& mix : mixes) {
    const auto first = all.add(request(mix));
    run_to_end(all);
    EXPECT_EQ(first->statistics.cached_tokens, 0);
    EXPECT_EQ(first->tokens, alone(request(mix)));
  }
  for (const AdapterMix& mix : mixes) {
    const auto again = all.add(request(mix));
    run_to_end(all);
    EXPECT_EQ(again->statistics.cached_tokens, 64);
    EXPECT_EQ(again->tokens, alone(request(mix)));
  }
  // Whatever a salt spells, it names no adapter.
  Request salted = request({});
  salted.cache_salt = variant_of({{0, 1.0F}});
  const auto other = all.add(salted);
  run_to_end(all);
  EXPECT_EQ(other->statistics.cached_tokens, 0);
}

TEST_F(LoraEngineTest, ASiblingOfAnotherAdapterIsNone) {
  Engine all = engine({.kv_blocks = 200});
  Request kept = request({{0, 1.0F}});
  kept.keeps_blocks = true;
  const auto first = all.add(kept);
  run_to_end(all);
  const auto same = all.add(request({{0, 1.0F}}), first),
             other = all.add(request({{1, 1.0F}}), first);
  run_to_end(all);
  EXPECT_EQ(same->statistics.cached_tokens, 74);
  EXPECT_EQ(other->statistics.cached_tokens, 0);
  EXPECT_EQ(same->tokens, first->tokens);
  EXPECT_EQ(other->tokens, alone(request({{1, 1.0F}})));
}

TEST_F(LoraEngineTest, BeamsGoThroughThem) {
  std::vector<std::vector<Token>> best;
  for (const AdapterMix& mix : {AdapterMix{}, AdapterMix{{0, 1.0F}}, AdapterMix{{1, 1.0F}}}) {
    Request r = request(mix, 0);
    r.beams.width = 3;
    best.push_back(alone(r));
  }
  Engine all = engine({.kv_blocks = 200});
  std::vector<std::shared_ptr<Sequence>> sequences;
  for (const AdapterMix& mix : {AdapterMix{}, AdapterMix{{0, 1.0F}}, AdapterMix{{1, 1.0F}}}) {
    Request r = request(mix, 0);
    r.beams.width = 3;
    sequences.push_back(all.add(r));
  }
  run_to_end(all);
  for (size_t i = 0; i < best.size(); ++i) EXPECT_EQ(sequences[i]->tokens, best[i]);
  EXPECT_NE(best[0], best[1]);
  EXPECT_NE(best[1], best[2]);
}

TEST_F(LoraEngineTest, EmbeddingsGoThroughThem) {
  std::vector<std::vector<float>> vectors;
  for (const AdapterMix& mix : {AdapterMix{}, AdapterMix{{3, 1.0F}}}) {
    for (int times = 0; times < 2; ++times) {
      Engine all = engine();
      Request r{.prompt = prompt_};
      r.pooling = Pooling::kMean;
      r.adapters = mix;
      const auto sequence = all.add(r);
      if (times == 1) all.add(request({{5, 1.0F}}));
      run_to_end(all);
      vectors.push_back(sequence->embedding);
    }
  }
  EXPECT_EQ(vectors[0], vectors[1]);
  EXPECT_EQ(vectors[2], vectors[3]);
  EXPECT_NE(vectors[0], vectors[2]);
}

TEST_F(LoraEngineTest, WhatIsNotThereIsNamed) {
  Engine all = engine();
  EXPECT_EQ(error_of([&] {
              all.add(request({{8, 1.0F}}));
            }),
            "there is no LoRA adapter 8: 8 were loaded, 0 to 7");
  EXPECT_THAT(error_of([&] { all.add(request({{1, 1.0F}, {1, 1.0F}})); }), HasSubstr("order"));
  const auto choose = [&](std::vector<LoraUse> uses) { return choose_adapters(model_, uses); };
  EXPECT_EQ(choose({{5, 0.5F}, {2, 1.0F}, {3, 0.0F}}), (AdapterMix{{2, 1.0F}, {5, 0.5F}}));
  EXPECT_EQ(choose({}), AdapterMix{});
  EXPECT_EQ(error_of([&] { choose({{1, 1.0F}, {1, 0.5F}}); }), "LoRA adapter 1 is given twice");
  EXPECT_THAT(error_of([&] { choose({{-1, 1.0F}}); }), HasSubstr("no LoRA adapter -1"));
  EXPECT_THAT(error_of([&] { choose({{0, INFINITY}}); }), HasSubstr("is no number"));
}

// --- the public API

TEST_F(LoraEngineTest, TheLibraryLoadsThem) {
  const auto folder = [&](int i) { return (folder_ / std::to_string(i)).string(); };
  GenerateOptions greedy;
  greedy.sampling.temperature = 0;
  greedy.max_tokens = 30;
  greedy.ignore_eos = true;
  const auto text = [&](const LoadOptions& load, const GenerateOptions& options) {
    return LanguageModel::load(path_.string(), load).generate("some words", options).tokens;
  };
  LoadOptions two{.threads = 2, .lora = {{folder(0)}, {folder(1), 0.0F}}};
  const auto plain = text({.threads = 2}, greedy), first = text(two, greedy);
  EXPECT_NE(plain, first);

  LanguageModel model = LanguageModel::load(path_.string(), two);
  EXPECT_THAT(model.lora_names(), testing::ElementsAre("0", "1"));
  EXPECT_EQ(model.generate("some words", greedy).tokens, first);
  greedy.lora = {};
  EXPECT_EQ(model.generate("some words", greedy).tokens, first);
  greedy.lora.emplace();
  EXPECT_EQ(model.generate("some words", greedy).tokens, plain);
  greedy.lora = {{1, 1.0F}};
  const auto second = model.generate("some words", greedy).tokens;
  EXPECT_EQ(second, text({.threads = 2, .lora = {{folder(1)}}}, [&] {
              GenerateOptions usual = greedy;
              usual.lora = {};
              return usual;
            }()));
  // A branch was read by the usual adapters; what goes on by others reads it anew.
  Branch branch = model.branch("some words");
  EXPECT_EQ(branch.generate(greedy).tokens, second);
  const double score = branch.score(" and more");
  Branch fresh = model.branch("some words");
  EXPECT_EQ(fresh.generate(greedy).tokens, second);
  EXPECT_EQ(fresh.score(" and more"), score);

  LoadOptions same{.threads = 2, .lora = {{folder(0)}, {folder(0) + "/adapter_model.safetensors"}}};
  EXPECT_THAT(LanguageModel::load(path_.string(), same).lora_names(),
              testing::ElementsAre("0", "0-2"));
}

}  // namespace
}  // namespace tessera
