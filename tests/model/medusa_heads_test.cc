#include "model/medusa_heads.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "files/gguf/writer.h"
#include "files/open.h"
#include "support/error_of.h"
#include "support/medusa_heads.h"
#include "support/model_runner.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

using test::float_tensor;
using test::NamedTensor;
using testing::HasSubstr;

class MedusaHeadsTest : public testing::Test {
 protected:
  MedusaHeads load(const std::string& safetensors) {
    const auto path = folder_.write("heads.safetensors", safetensors);
    return MedusaHeads(*open_checkpoint(path), runner_.model());
  }
  Model& model() { return runner_.model(); }
  std::vector<float> random(int count, uint32_t seed) {
    std::minstd_rand random(seed);
    std::uniform_real_distribution<float> value(-1, 1);
    std::vector<float> values(static_cast<size_t>(count));
    for (float& v : values) v = value(random);
    return values;
  }

  test::TempFolder folder_;
  ModelRunner runner_{write_tiny_model({}, folder_.path())};
  int embedding_ = model().config().embedding, vocabulary_ = model().config().vocabulary;
};

// Against a plain loop, in double precision.
TEST_F(MedusaHeadsTest, AreResidualBlocksBeforeAMatrix) {
  const auto d = static_cast<uint64_t>(embedding_), v = static_cast<uint64_t>(vocabulary_);
  constexpr int kHeads = 3, kLayers = 2, kRows = 5;
  std::vector<NamedTensor> tensors;
  std::vector<std::vector<std::vector<float>>> weights(kHeads), biases(kHeads);
  std::vector<std::vector<float>> outputs;
  uint32_t seed = 1;
  for (int h = 0; h < kHeads; ++h) {
    const std::string head = std::to_string(h) + ".";
    for (int l = 0; l < kLayers; ++l) {
      weights[h].push_back(random(embedding_ * embedding_, seed++));
      biases[h].push_back(random(embedding_, seed++));
      const std::string layer = head + std::to_string(l) + ".linear.";
      tensors.push_back(float_tensor(layer + "weight", {d, d}, weights[h].back()));
      tensors.push_back(float_tensor(layer + "bias", {d}, biases[h].back()));
    }
    outputs.push_back(random(vocabulary_ * embedding_, seed++));
    tensors.push_back(
        float_tensor(head + std::to_string(kLayers) + ".weight", {v, d}, outputs.back()));
  }
  MedusaHeads heads = load(test::safetensors_of(tensors));
  EXPECT_EQ(heads.heads(), kHeads);
  const std::vector<float> hidden = random(kRows * embedding_, seed);
  const HostRows logits = heads.forward(hidden);
  ASSERT_EQ(logits.rows, kHeads * kRows);
  for (int h = 0; h < kHeads; ++h) {
    for (int r = 0; r < kRows; ++r) {
      std::vector<double> x(hidden.begin() + r * embedding_, hidden.begin() + (r + 1) * embedding_);
      for (int l = 0; l < kLayers; ++l) {
        std::vector<double> next = x;
        for (int i = 0; i < embedding_; ++i) {
          double sum = biases[h][l][static_cast<size_t>(i)];
          for (int k = 0; k < embedding_; ++k)
            sum +=
                static_cast<double>(weights[h][l][static_cast<size_t>(i * embedding_ + k)]) * x[k];
          next[i] += sum / (1 + std::exp(-sum));
        }
        x = next;
      }
      for (int t = 0; t < vocabulary_; ++t) {
        double sum = 0, size = 0;
        for (int k = 0; k < embedding_; ++k) {
          const double term =
              static_cast<double>(outputs[h][static_cast<size_t>(t * embedding_ + k)]) * x[k];
          sum += term, size += std::abs(term);
        }
        ASSERT_NEAR(logits.row(h * kRows + r)[t], sum, 1e-5 * size) << h << " " << r << " " << t;
      }
    }
  }
}

// Heads without a matrix of their own, whose blocks do nothing, say what the model says.
TEST_F(MedusaHeadsTest, MayShareTheModelsOutput) {
  const auto d = static_cast<uint64_t>(embedding_);
  MedusaHeads heads = load(test::safetensors_of(
      {float_tensor("blocks.0.layers.0.weight", {d, d}, std::vector<float>(d * d)),
       float_tensor("blocks.1.layers.0.weight", {d, d}, std::vector<float>(d * d))}));
  const std::vector<Token> text = random_tokens(7, 300, 1);
  const auto expected = runner_.run_text(text);
  std::vector<float> hidden;
  model().backend().download(model().hidden_states(3, 4)).copy(hidden);
  const HostRows logits = heads.forward(hidden);
  for (int head = 0; head < 2; ++head) {
    for (int r = 0; r < 4; ++r) {
      const auto row = logits.row(head * 4 + r);
      EXPECT_TRUE(std::ranges::equal(row, expected[static_cast<size_t>(3 + r)]))
          << head << " " << r;
    }
  }
}

TEST_F(MedusaHeadsTest, ATokenMapSaysWhichTokensTheyKnow) {
  const auto d = static_cast<uint64_t>(embedding_);
  std::vector<float> output(3 * d);
  for (size_t t = 0; t < 3; ++t) output[t * d] = static_cast<float>(t + 1);
  MedusaHeads heads = load(test::safetensors_of(
      {float_tensor("blocks.0.layers.0.weight", {d, d}, std::vector<float>(d * d)),
       float_tensor("lm_head.weight", {3, d}, output),
       {"token_map", "I64", {3}, test::bytes_of(std::vector<int64_t>{250, 4, 9})}}));
  std::vector<float> hidden(d);
  hidden[0] = 2;
  const auto row = heads.forward(hidden).row(0);
  EXPECT_EQ(row[250], 2);
  EXPECT_EQ(row[4], 4);
  EXPECT_EQ(row[9], 6);
  EXPECT_EQ(row[0], -std::numeric_limits<float>::infinity());
}

TEST_F(MedusaHeadsTest, WhatDoesNotFitTheModelIsNamed) {
  const auto d = static_cast<uint64_t>(embedding_), v = static_cast<uint64_t>(vocabulary_);
  const auto error = [&](const std::string& file) { return error_of([&] { load(file); }); };
  const auto block = [&](uint64_t size) {
    return float_tensor("0.0.linear.weight", {size, size}, std::vector<float>(size * size));
  };
  const auto output = [&](uint64_t rows, uint64_t columns) {
    return float_tensor("0.1.weight", {rows, columns}, std::vector<float>(rows * columns));
  };
  EXPECT_THAT(error(test::safetensors_of({block(d / 2), output(v, d)})),
              HasSubstr("'0.0.linear.weight' is 32 x 32, expected 64 x 64"));
  EXPECT_THAT(error(test::safetensors_of({block(d), output(v, d / 2)})), HasSubstr("'0.1.weight'"));
  EXPECT_THAT(error(test::safetensors_of({block(d), output(v + 1, d)})),
              HasSubstr("tokens, the model has"));
  EXPECT_THAT(error(test::safetensors_of(
                  {block(d),
                   output(3, d),
                   {"token_map", "I64", {2}, test::bytes_of(std::vector<int64_t>{1, 2})}})),
              HasSubstr("names 2 tokens, the heads' outputs have 3"));
  EXPECT_THAT(error(test::safetensors_of(
                  {block(d),
                   output(1, d),
                   {"token_map", "I64", {1}, test::bytes_of(std::vector<int64_t>{1 << 20})}})),
              HasSubstr("names the token 1048576"));
  EXPECT_THAT(error(test::safetensors_of(
                  {block(d),
                   output(1, d),
                   {"token_map", "F32", {1}, test::bytes_of(std::vector<float>{1})}})),
              HasSubstr("expected I64 or I32"));
  EXPECT_THAT(error_of([&] {
                MedusaHeads(*open_checkpoint(write_tiny_model({}, folder_.path())), model());
              }),
              HasSubstr("holds no Medusa heads"));
}

// How often they were right when they were trained, head by head.
TEST_F(MedusaHeadsTest, AFileMaySayHowOftenTheyAreRight) {
  const auto write = [&](std::vector<int32_t> shares) {
    GgufMetadata metadata;
    metadata.set("general.architecture", {std::string("medusa")});
    metadata.set("medusa.heads", {uint32_t{1}});
    metadata.set("medusa.layers", {uint32_t{1}});
    metadata.set("medusa.hit_shares", {GgufValue::Array(std::move(shares))});
    GgufWriter writer(metadata);
    const auto d = static_cast<uint64_t>(embedding_);
    writer.declare("blk.0.medusa.weight", kF32, {d, d});
    writer.write(folder_ / "heads.gguf",
                 [&](size_t) { return std::vector<std::byte>(d * d * sizeof(float)); });
    return MedusaHeads(*open_checkpoint(folder_ / "heads.gguf"), model());
  };
  const MedusaHeads heads = write({6000, 1500, 700, 300, 0, 10000});
  ASSERT_EQ(heads.hit_shares().size(), 1u);
  EXPECT_EQ(heads.hit_shares()[0], (MedusaHeads::HitShares{0.6f, 0.15f, 0.07f, 0.03f, 0, 1}));
  EXPECT_EQ(error_of([&] {
              write({6000, 1500});
            }),
            "key 'medusa.hit_shares' has 2 values, expected 6 for each of 1 heads");
  EXPECT_EQ(error_of([&] {
              write({6000, 1500, 700, 300, 0, 10001});
            }),
            "key 'medusa.hit_shares' has the value 10001, expected 0 to 10000");
  EXPECT_EQ(error_of([&] {
              write({6000, 1500, -1, 300, 0, 100});
            }),
            "key 'medusa.hit_shares' has the value -1, expected 0 to 10000");
}

}  // namespace
}  // namespace tessera
