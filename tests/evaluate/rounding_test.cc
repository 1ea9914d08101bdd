// Rounding to integers, and models whose products are rounded so.
#include "evaluate/rounding.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "devices/device.h"
#include "evaluate/simulated_rounding.h"
#include "files/open.h"
#include "model/reader.h"
#include "support/error_of.h"
#include "support/random_floats.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Rounding, ByTheFormulas) {
  std::vector<float> x = {-1.0f, 0.0f, 0.26f, 0.5f};
  parse_rounding("int3-absmax-row").round_row(x);  // 3 steps of 1 / 3
  EXPECT_THAT(x, ElementsAre(-1.0f, 0.0f, 1.0f / 3, 1.0f / 3 * 2));
  x = {-1.0f, 0.0f, 0.3f, 0.5f};
  parse_rounding("int2-zeropoint-row").round_row(x);  // 3 steps of a half, 2 of them below zero
  EXPECT_THAT(x, ElementsAre(-1.0f, 0.0f, 0.5f, 0.5f));
  x = {0.0f, 0.0f, 0.0f};
  parse_rounding("int8-zeropoint-row").round_row(x);
  EXPECT_THAT(x, ElementsAre(0.0f, 0.0f, 0.0f));
  x = {1.0f, 0.4f, 100.0f, 40.0f};
  parse_rounding("int2-absmax-group2").round_row(x);
  EXPECT_THAT(x, ElementsAre(1.0f, 0.0f, 100.0f, 0.0f));
  x = {2.0f, -3.0f};
  parse_rounding("int8-absmax-tensor").round(x, {.low = -1, .high = 1.27f});  // beyond: cut
  EXPECT_THAT(x, ElementsAre(1.27f, -1.27f));
}

TEST(Rounding, IsWithinHalfAStep) {
  for (const char* how : {"int8-absmax-row", "int8-zeropoint-row", "int4-absmax-group16"}) {
    const Rounding rounding = parse_rounding(how);
    const Floats before = random_floats(64, 3);
    Floats after = before;
    rounding.round_row(after);
    const double step = (rounding.bits == 8 ? 8.0 / 255 : 8.0 / 15);
    for (size_t i = 0; i < before.size(); ++i) EXPECT_NEAR(after[i], before[i], step / 2) << how;
    EXPECT_LE(std::set(after.begin(), after.end()).size(), 64U);
    Floats again = after;
    rounding.round_row(again);
    for (size_t i = 0; i < again.size(); ++i) EXPECT_NEAR(again[i], after[i], 1e-6) << how;
  }
}

TEST(Rounding, WhatIsNoneIsOneLine) {
  for (const char* bad :
       {"", "int8", "int9-absmax-row", "int1-absmax-row", "int8-absmax-group", "int8-absmax-group0",
        "int8-max-row", "int8-absmax-rows", "fp8-absmax-row"}) {
    EXPECT_THAT(error_of([&] { parse_rounding(bad); }), HasSubstr("is no way to round")) << bad;
  }
}

class SimulatedRoundingTest : public testing::Test {
 protected:
  struct Loaded {
    std::shared_ptr<SimulatedRounding> backend;
    std::unique_ptr<Model> model;
  };
  Loaded load(const char* weights, const char* activations, int threads = 2) const {
    SimulatedRounding::Options options{.left_out = read_config(*checkpoint_).vocabulary};
    if (weights != nullptr) options.weights = parse_rounding(weights);
    if (activations != nullptr) options.activations = parse_rounding(activations);
    auto backend = std::make_shared<SimulatedRounding>(open_cpu(threads).backend, options);
    auto model = std::make_unique<Model>(checkpoint_, backend, Model::Limits{});
    return {backend, std::move(model)};
  }
  std::vector<float> logits(Model& model, int rows = 0) const {
    Reader reader(model, 40, KvFormat::kF16);
    std::vector<Token> tokens;
    for (int i = 0; i < 40; ++i) tokens.push_back(i * 7 % 256);
    std::vector<float> all;
    reader.read(
        tokens, Reader::Logits::kAll,
        [&](HostRows some, int) {
          for (int r = 0; r < some.rows; ++r)
            all.insert(all.end(), some.row(r).begin(), some.row(r).end());
        },
        rows);
    return all;
  }
  double distance(Model& model) const {
    const auto exact = load(nullptr, nullptr);
    const auto x = logits(*exact.model), y = logits(model);
    double sum = 0, size = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      sum += std::pow(static_cast<double>(x[i]) - static_cast<double>(y[i]), 2);
      size += std::pow(static_cast<double>(x[i]), 2);
    }
    return std::sqrt(sum / size);
  }

  test::TempFolder folder_;
  std::shared_ptr<const Checkpoint> checkpoint_ =
      open_checkpoint(write_tiny_model({.architecture = "qwen2"}, folder_.path()));
};

TEST_F(SimulatedRoundingTest, FewerBitsAndCoarserScalesLoseMore) {
  const auto of = [&](const char* weights, const char* activations) {
    return distance(*load(weights, activations).model);
  };
  const double eight = of("int8-absmax-row", nullptr), four = of("int4-absmax-row", nullptr);
  EXPECT_GT(eight, 0);
  EXPECT_LT(eight, 0.05);
  EXPECT_GT(four, 5 * eight);
  EXPECT_GT(of("int8-absmax-tensor", nullptr), eight);
  EXPECT_LT(of("int4-absmax-group16", nullptr), four);
  const double rows = of(nullptr, "int8-absmax-row");
  EXPECT_GT(rows, 0);
  EXPECT_LT(rows, 0.05);
  EXPECT_LT(of(nullptr, "int8-zeropoint-group16"), rows);
}

// A row's scale is its own, or that of the text before: how a text is cut into steps and how many
// threads there are changes no bit.
TEST_F(SimulatedRoundingTest, RowsAreAlone) {
  const auto tokenizer = Tokenizer::make(checkpoint_->read_tokenizer());
  std::string text;
  for (int i = 0; i < 400; ++i) text += "word " + std::to_string(i * i % 97) + ", ";
  for (const char* activations : {"int8-absmax-row", "int8-zeropoint-tensor"}) {
    std::vector<std::vector<float>> results;
    for (const int threads : {1, 3}) {
      const auto loaded = load("int8-absmax-row", activations, threads);
      if (std::string_view(activations).ends_with("tensor")) {
        EXPECT_THAT(
            error_of([&] { loaded.backend->calibrate(*loaded.model, *tokenizer, "short", 1); }),
            HasSubstr("one chunk needs 256"));
        loaded.backend->calibrate(*loaded.model, *tokenizer, text, 2);
      }
      results.push_back(logits(*loaded.model, threads == 1 ? 0 : 7));
    }
    EXPECT_EQ(results[0], results[1]) << activations;
  }
}

}  // namespace
}  // namespace tessera
