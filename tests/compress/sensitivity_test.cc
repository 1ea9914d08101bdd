// What rounding costs, as it is measured, against what it is.
#include "compress/sensitivity.h"
#include "compress/calibration_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>

#include "compress/disturbance.h"
#include "compress/output_errors.h"
#include "compress/quantize.h"
#include "compress/sensitivity_text.h"
#include "files/open.h"
#include "model/reader.h"
#include "support/error_of.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

using testing::HasSubstr;
using Kind = InputMoments::Kind;

std::vector<float> random_values(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

// Sum over the rows e and the inputs x of (e^T x)^2, or of the squares of the terms of e^T x.
double plain_energy(std::span<const float> rows, std::span<const float> inputs, size_t n,
                    bool terms_alone) {
  double sum = 0;
  for (size_t r = 0; r < rows.size(); r += n) {
    for (size_t i = 0; i < inputs.size(); i += n) {
      double product = 0, squares = 0;
      for (size_t c = 0; c < n; ++c) {
        const double term = static_cast<double>(rows[r + c]) * static_cast<double>(inputs[i + c]);
        product += term;
        squares += term * term;
      }
      sum += terms_alone ? squares : product * product;
    }
  }
  return sum;
}

TEST(OutputErrors, EnergyIsThatOfTheProducts) {
  ThreadPool pool(2);
  for (const size_t n : {32, 200}) {
    const auto inputs = random_values(n * 50, 1), rows = random_values(n * 7, 2);
    const HostRows x(inputs.data(), 50, static_cast<int>(n), static_cast<int>(n));
    InputMoments full(static_cast<int>(n), Kind::kHessian),
        diagonal(static_cast<int>(n), Kind::kDiagonal);
    full.add(x, pool);
    diagonal.add(x, pool);
    const double plain = plain_energy(rows, inputs, n, false);
    EXPECT_NEAR(full.energy(rows, pool), plain, 1e-4 * plain);
    const double terms = plain_energy(rows, inputs, n, true);
    EXPECT_NEAR(diagonal.energy(rows, pool), terms, 1e-6 * terms);
  }
}

class SensitivityTest : public testing::Test {
 protected:
  std::filesystem::path tiny(const char* architecture, bool tied = false) {
    return write_tiny_model({.architecture = architecture, .format = &kF16, .tied = tied},
                            folder_.path());
  }
  test::TempFolder folder_;
};

std::vector<Token> some_tokens(size_t count) {
  std::vector<Token> tokens(count);
  for (size_t i = 0; i < count; ++i) tokens[i] = static_cast<Token>(i * i * 31 % 250);
  return tokens;
}

TEST_F(SensitivityTest, LayerByLayerTheLogitsAreTheModels) {
  for (const char* architecture : {"llama", "qwen2", "gemma2", "gemma3", "phi3"}) {
    const auto path = tiny(architecture);
    const auto tokens = some_tokens(30);
    const Device device = open_cpu(2);
    LayerByLayer model(open_checkpoint(path), device.backend, 30);
    std::vector<float> rows(30 * static_cast<size_t>(model.config().embedding));
    model.embed(tokens, rows);
    for (int layer = 0; layer < model.layers(); ++layer) {
      model.load(layer);
      model.forward(rows);
    }
    model.load_output();
    std::vector<float> logits;
    model.logits(rows).copy(logits);
    EXPECT_EQ(logits, test::logits_of(path, tokens)) << architecture;
  }
}

// KL of the second model's predictions from the first's, of each row.
std::vector<double> divergences(std::span<const float> p, std::span<const float> q, size_t width) {
  const auto log_sum = [](std::span<const float> logits) {
    double sum = 0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
    return std::log(sum);
  };
  std::vector<double> all;
  for (size_t row = 0; row < p.size(); row += width) {
    const double zp = log_sum(p.subspan(row, width)), zq = log_sum(q.subspan(row, width));
    double kl = 0;
    for (size_t v = row; v < row + width; ++v) {
      const double log_p = static_cast<double>(p[v]) - zp;
      kl += std::exp(log_p) * (log_p - (static_cast<double>(q[v]) - zq));
    }
    all.push_back(kl);
  }
  return all;
}

// One matrix rounded, in a file and on the way through the layers.
TEST_F(SensitivityTest, ADisturbedMatrixDivergesAsTheModelWithItDoes) {
  const auto tokens = some_tokens(64);
  for (const bool tied : {false, true}) {
    const auto source = tiny("llama", tied);
    const auto checkpoint = open_checkpoint(source);
    for (const TensorPlace place :
         {TensorPlace{TensorRole::kValue, 0}, TensorPlace{TensorRole::kDown, 1},
          TensorPlace{TensorRole::kTokenEmbedding, kNoLayer}}) {
      const StoredTensor& tensor = checkpoint->require(place);
      const auto out = folder_ / "one.gguf";
      quantize_file(source,
                    {.format = "F16",
                     .tensor_formats = {{"^" + tensor.name + "$", &kQ5_0}},
                     .overwrite = true},
                    out);
      const auto disturbed = open_checkpoint(out);
      const StoredTensor& instead = disturbed->require(place);

      const Device device = open_cpu(2);
      LayerByLayer model(checkpoint, device.backend, 64);
      Disturbance disturbance(model, *device.pool, {tokens});
      const auto with_error = [&](const StoredTensor& stored) -> const StoredTensor* {
        return stored.place == place ? &instead : nullptr;
      };
      size_t text = 0;
      if (place.layer == kNoLayer) text = disturbance.disturb_embedding(instead);
      for (int layer = 0; layer < model.layers(); ++layer) {
        model.load(layer);
        disturbance.pass();
        if (place.layer != layer) continue;
        model.load(layer, with_error);
        text = disturbance.branch();
        EXPECT_GT(disturbance.disturb(text), 0);
      }
      model.load_output();
      disturbance.predict();
      if (tied) model.load_output(with_error);
      const double found = disturbance.divergence(text);

      const auto width = static_cast<size_t>(model.config().vocabulary);
      const auto all =
          divergences(test::logits_of(source, tokens), test::logits_of(out, tokens), width);
      double exact = 0;
      for (size_t row = 3; row < all.size(); row += 4) exact += all[row] / 16;
      EXPECT_GT(exact, 0);
      EXPECT_NEAR(found, exact, 0.05 * exact) << tensor.name << " tied " << tied;
    }
  }
}

// The sum over matrices is what they do together, if each does little.
TEST_F(SensitivityTest, MeasuredCostsAddUp) {
  const auto source = tiny("qwen2");
  const auto checkpoint = open_checkpoint(source);
  const Device device = open_cpu(2);
  const LoraMerge merge({}, *checkpoint);
  const MethodOptions options;
  const Imatrix imatrix;
  const ChosenMethod method = choose_method("rtn");
  const MeasuredModel model{checkpoint, device, merge, method, options, imatrix};
  std::vector<size_t> tensors;
  for (size_t i = 0; i < checkpoint->tensors().size(); ++i) {
    if (is_reencoded(checkpoint->tensors()[i])) tensors.push_back(i);
  }
  const CalibrationText text{.tokens = some_tokens(128), .length = 64};
  const auto found = measure_sensitivity(model, tensors, text);
  ASSERT_EQ(found.size(), tensors.size());
  double cost = 0;
  for (const Sensitivity& one : found) {
    EXPECT_GT(one.factor, 0) << checkpoint->tensors()[one.tensor].name;
    for (size_t f = 0; f < one.formats.size(); ++f) {
      if (one.formats[f] == &kF16) {
        EXPECT_EQ(one.errors[f], 0);
      }
      if (one.formats[f] == &kQ5_0) cost += one.factor * one.errors[f];
    }
  }
  const auto out = folder_ / "all.gguf";
  quantize_file(source, {.format = "Q5_0", .pure = true}, out);
  const std::vector<Token> second(text.tokens.begin() + 64, text.tokens.end());
  const auto all = divergences(test::logits_of(source, second), test::logits_of(out, second),
                               static_cast<size_t>(read_config(*checkpoint).vocabulary));
  const double exact =
      std::accumulate(all.begin(), all.end(), 0.0) / static_cast<double>(all.size());
  EXPECT_NEAR(cost / exact, 1, 0.35);

  const auto again = read_sensitivities(write_sensitivities(found), tensors);
  ASSERT_EQ(again.size(), found.size());
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(again[i].tensor, found[i].tensor);
    EXPECT_EQ(again[i].factor, found[i].factor);
    EXPECT_EQ(again[i].errors, found[i].errors);
  }
  EXPECT_THAT(error_of([&] { read_sensitivities("7 x", tensors); }),
              HasSubstr("not what was written"));
}

}  // namespace
}  // namespace tessera
