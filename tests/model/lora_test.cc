// Adapters on top of a model: what they add is what merging them would, and rows of different ones
// in one step are each as they would be alone, bit for bit.
#include "model/lora.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "files/open.h"
#include "files/open_adapter.h"
#include "support/error_of.h"
#include "support/model_runner.h"
#include "support/temp_folder.h"
#include "support/tiny_lora.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

using testing::HasSubstr;

constexpr int kLength = 70;
constexpr double kOfKeys = 1e-3;  // what f16 keys and values may make of the last bits

bool same_bits(const LogitRow& a, const LogitRow& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

double largest(const LogitRow& row) {
  double most = 0;
  for (const float value : row) most = std::max(most, std::abs(static_cast<double>(value)));
  return most;
}

// The largest difference, beside the largest logit.
double distance(const std::vector<LogitRow>& a, const std::vector<LogitRow>& b) {
  double most = 0;
  for (size_t r = 0; r < a.size(); ++r) {
    for (size_t i = 0; i < a[r].size(); ++i) {
      const double difference = static_cast<double>(a[r][i]) - static_cast<double>(b[r][i]);
      most = std::max(most, std::abs(difference) / largest(b[r]));
      if (!std::isfinite(difference)) return INFINITY;
    }
  }
  return most;
}

class LoraTest : public testing::TestWithParam<std::string> {
 protected:
  // A runner with adapters 0, 1, ... of these.
  std::unique_ptr<ModelRunner> load(const std::filesystem::path& path,
                                    const std::vector<TinyLora>& loras, int threads = 2) {
    auto runner = std::make_unique<ModelRunner>(path, ModelRunner::Options{.threads = threads});
    const auto checkpoint = open_checkpoint(path);
    for (const TinyLora& lora : loras) {
      const auto folder = folder_ / ("peft" + std::to_string(number_++));
      runner->model().add_adapter(
          open_adapter(write_tiny_peft(lora, *checkpoint, folder), *checkpoint));
    }
    return runner;
  }
  std::filesystem::path model(const Format& format = kF32) {
    return write_tiny_model({.architecture = GetParam(), .format = &format}, folder_.path());
  }
  static std::vector<LogitRow> run(ModelRunner& runner, std::span<const Token> tokens,
                                   const AdapterMix* mix) {
    const auto table = runner.new_table(static_cast<int>(tokens.size()));
    Batch batch;
    batch.add_chain(tokens, 0, table, mix);
    return runner.run(batch);
  }

  test::TempFolder folder_;
  int number_ = 0;
  const std::vector<Token> tokens_ = random_tokens(kLength, 320, 3);
};

// Where keys and values, which are rounded to f16, have nothing to do with it: their own adapters
// are compared as products (tests/backend/low_rank_test.cc) and below.
TEST_P(LoraTest, LogitsAreThoseOfTheMergedModelTo1e5) {
  using enum TensorRole;
  const auto path = write_tiny_model({.architecture = GetParam(), .layers = 1}, folder_.path());
  const auto checkpoint = open_checkpoint(path);
  std::vector<TinyLora> loras = {{.seed = 1, .rank = 16, .alpha = 32},
                                 {.seed = 2, .rank = 5, .alpha = 3, .is_stabilized = true}};
  for (TinyLora& lora : loras) lora.roles = {kQuery, kAttentionOutput, kGate, kUp, kDown, kOutput};
  const auto runner = load(path, loras);
  const AdapterMix mix = {{0, 0.7f}, {1, 1.5f}};
  const std::pair<TinyLora, float> merged[] = {{loras[0], 0.7f}, {loras[1], 1.5f}};
  ModelRunner reference(write_merged_model(*checkpoint, merged, folder_ / "merged.gguf"));
  const std::vector<LogitRow> logits = run(*runner, tokens_, &mix);
  EXPECT_LE(distance(logits, run(reference, tokens_, nullptr)), 1e-5);
  EXPECT_GT(distance(logits, run(*runner, tokens_, nullptr)), 0.05);
}

// With all matrices: the last bit of a key or value decides now and then which f16 it becomes, as
// with any other order of the same sums.
TEST_P(LoraTest, LogitsAreThoseOfTheMergedModel) {
  const auto path = model();
  const auto checkpoint = open_checkpoint(path);
  const std::vector<TinyLora> loras = {{.seed = 1, .rank = 16, .alpha = 32},
                                       {.seed = 2, .rank = 5, .alpha = 3, .is_stabilized = true}};
  const auto runner = load(path, loras);
  const std::vector<LogitRow> plain = run(*runner, tokens_, nullptr);
  const std::vector<std::pair<AdapterMix, std::vector<std::pair<TinyLora, float>>>> cases = {
      {{{0, 1.0f}}, {{loras[0], 1.0f}}},
      {{{1, -0.5f}}, {{loras[1], -0.5f}}},
      {{{0, 0.7f}, {1, 1.5f}}, {{loras[0], 0.7f}, {loras[1], 1.5f}}}};
  for (const auto& [mix, merged] : cases) {
    ModelRunner reference(write_merged_model(*checkpoint, merged, folder_ / "merged.gguf"));
    const std::vector<LogitRow> logits = run(*runner, tokens_, &mix);
    const std::vector<LogitRow> expected = run(reference, tokens_, nullptr);
    const double error = distance(logits, expected);
    RecordProperty("error_of_" + std::to_string(mix.size()) + std::to_string(mix[0].adapter),
                   std::to_string(error));
    EXPECT_LE(error, kOfKeys) << mix.size();
    EXPECT_GT(distance(logits, plain), 0.05);  // they do something
  }
  EXPECT_TRUE(std::ranges::equal(run(*runner, tokens_, nullptr), plain, same_bits));
}

TEST_P(LoraTest, GgufAdaptersAreThoseOfPeft) {
  const auto path = model();
  const auto checkpoint = open_checkpoint(path);
  const TinyLora lora{.rank = 8, .alpha = 16};
  const auto runner = load(path, {lora});
  const auto file = write_tiny_gguf_lora(lora, *checkpoint, folder_ / "adapter.gguf");
  runner->model().add_adapter(open_adapter(file, *checkpoint));
  const AdapterMix peft = {{0, 1.0f}}, gguf = {{1, 1.0f}};
  EXPECT_TRUE(
      std::ranges::equal(run(*runner, tokens_, &peft), run(*runner, tokens_, &gguf), same_bits));
}

// Beside quantized weights, F32 becomes F16; factors of any size keep all of its bits, for a power
// of two goes into the scale.
TEST_P(LoraTest, FactorsInF32AreKeptInF16BesideQuantizedWeights) {
  const auto path = model(kQ4_0);
  const auto checkpoint = open_checkpoint(path);
  const TinyLora lora{.rank = 8, .alpha = 16};
  StoredAdapter tiny =
      open_adapter(write_tiny_peft(lora, *checkpoint, folder_ / "f32"), *checkpoint);
  const auto runner = load(path, {lora});
  std::deque<std::vector<std::byte>> kept;
  for (StoredLowRank& one : tiny.matrices) {
    for (StoredTensor* factor : {&one.down, &one.up}) {
      std::vector<float> values(factor->elements());
      factor->decode(0, factor->rows(), values);
      for (float& value : values) value *= 0x1p-30f;  // which F16 has not
      auto& bytes = kept.emplace_back(values.size() * sizeof(float));
      kF32.encode(values, bytes.data(), {});
      factor->bytes = bytes;
      factor->source = nullptr;
    }
    one.scale *= 0x1p60f;
  }
  runner->model().add_adapter(tiny);
  auto f16 = lora;
  f16.format = &kF16;
  runner->model().add_adapter(
      open_adapter(write_tiny_peft(f16, *checkpoint, folder_ / "f16"), *checkpoint));

  const AdapterMix from_f32 = {{0, 1.0f}}, from_tiny = {{1, 1.0f}}, from_f16 = {{2, 1.0f}};
  const std::vector<LogitRow> logits = run(*runner, tokens_, &from_f32);
  EXPECT_TRUE(std::ranges::equal(logits, run(*runner, tokens_, &from_tiny), same_bits));
  // What lies below F16's range differs, and makes other codes of some activations.
  EXPECT_LE(distance(logits, run(*runner, tokens_, &from_f16)), 0.03);
}

// E1 and E2: eight texts with an adapter each, one with two and one with none step together, in
// chunks and trees; beside them each alone, token by token.
TEST_P(LoraTest, RowsOfDifferentAdaptersAreAsAlone) {
  std::vector<const Format*> formats = {&kF32};
  if (std::getenv("TESSERA_TEST_BACKEND") == nullptr) formats.push_back(&kQ4_0);  // test_backend.h
  for (const Format* format : formats) {
    const auto path = model(*format);
    std::vector<TinyLora> loras;
    for (int i = 0; i < 8; ++i) {
      loras.push_back({.seed = static_cast<uint64_t>(10 + i),
                       .rank = std::vector{1, 4, 8, 16, 17, 32, 3, 16}[static_cast<size_t>(i)],
                       .format = std::vector{&kF32, &kF16, &kBF16}[static_cast<size_t>(i % 3)]});
    }
    loras[3].roles = {TensorRole::kDown, TensorRole::kKey, TensorRole::kQueryKeyValue};
    loras[4].roles = {TensorRole::kUp};
    const auto runner = load(path, loras), other = load(path, loras, 3);
    std::vector<AdapterMix> mixes;
    for (int i = 0; i < 8; ++i) mixes.push_back({{i, 0.5f + 0.1f * static_cast<float>(i)}});
    mixes.push_back({{2, 1.0f}, {5, -0.7f}});
    mixes.push_back({});

    std::vector<std::vector<Token>> texts;
    std::vector<std::vector<LogitRow>> expected;
    for (size_t i = 0; i < mixes.size(); ++i) {
      texts.push_back(random_tokens(40, 320, 50 + i));
      const auto table = runner->new_table(40);
      auto& rows = expected.emplace_back();
      for (int at = 0; at < 40; ++at) {
        Batch batch;
        batch.add_chain(std::span(texts[i]).subspan(static_cast<size_t>(at), 1), at, table,
                        &mixes[i]);
        rows.push_back(runner->run(batch)[0]);
      }
      EXPECT_FALSE(i > 0 && same_bits(rows[5], expected[0][5]));
    }
    for (ModelRunner* any : {runner.get(), other.get()}) {
      std::vector<std::vector<int32_t>> tables;
      for (size_t i = 0; i < mixes.size(); ++i) tables.push_back(any->new_table(40));
      for (int at = 0, step = 0; at < 40; ++step) {
        const int count =
            std::min(40 - at, std::vector{1, 7, 1, 13}[static_cast<size_t>(step % 4)]);
        Batch batch;
        for (size_t i = 0; i < mixes.size(); ++i) {
          const auto part =
              std::span(texts[i]).subspan(static_cast<size_t>(at), static_cast<size_t>(count));
          std::vector<int32_t> parents(part.size());
          for (size_t node = 0; node < parents.size(); ++node)
            parents[node] = static_cast<int32_t>(node) - 1;
          if (i % 2 == 0) {
            batch.add_chain(part, at, tables[i], &mixes[i]);
          } else {
            batch.add_tree(part, parents, at, tables[i], &mixes[i]);
          }
        }
        const std::vector<LogitRow> rows = any->run(batch);
        for (size_t i = 0; i < mixes.size(); ++i) {
          for (int r = 0; r < count; ++r) {
            ASSERT_TRUE(same_bits(rows[i * static_cast<size_t>(count) + static_cast<size_t>(r)],
                                  expected[i][static_cast<size_t>(at + r)]))
                << "text " << i << " position " << at + r;
          }
        }
        at += count;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Architectures, LoraTest,
                         testing::Values("llama", "qwen2", "qwen3", "gemma2", "gemma3", "phi3"),
                         [](const auto& instance) { return instance.param; });

// Rows without an adapter keep the bits of a step in which nobody has one, layer by layer of
// different shapes too.
TEST(Lora, LayersOfDifferentShapes) {
  const test::TempFolder folder;
  const auto path = write_tiny_model(
      {.embedding = 256, .heads = 4, .uneven_layers = true, .uneven_kv_heads = true},
      folder.path());
  const auto checkpoint = open_checkpoint(path);
  const TinyLora lora{.rank = 20};
  ModelRunner runner(path);
  runner.model().add_adapter(
      open_adapter(write_tiny_peft(lora, *checkpoint, folder / "peft"), *checkpoint));
  const std::pair<TinyLora, float> merged[] = {{lora, 1.0f}};
  ModelRunner reference(write_merged_model(*checkpoint, merged, folder / "merged.gguf"));
  const std::vector<Token> tokens = random_tokens(kLength, 320, 3);
  const std::vector<LogitRow> plain = runner.run_text(tokens);
  const AdapterMix mix = {{0, 1.0f}};
  const auto with_table = runner.new_table(kLength), without_table = runner.new_table(kLength);
  Batch batch;
  batch.add_chain(tokens, 0, with_table, &mix);
  batch.add_chain(tokens, 0, without_table);
  const std::vector<LogitRow> rows = runner.run(batch);
  EXPECT_LE(distance({rows.begin(), rows.begin() + kLength}, reference.run_text(tokens)), kOfKeys);
  for (int r = 0; r < kLength; ++r)
    ASSERT_TRUE(same_bits(rows[static_cast<size_t>(kLength + r)], plain[static_cast<size_t>(r)]));
}

}  // namespace
}  // namespace tessera
