// Pruning: how many zeros and where, and that SparseGPT makes good what it takes away.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "compress/magnitudes.h"
#include "compress/methods/method.h"
#include "compress/plain_gptq.h"
#include "compress/quantize.h"
#include "files/open.h"
#include "model/taps.h"
#include "support/error_of.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

using testing::HasSubstr;

class Prune : public testing::Test {
 protected:
  Floats run(const Method& method, const Sparsity& sparsity, int threads = 2,
             const Format& format = kF32) const {
    ThreadPool pool(threads);
    InputMoments moments(kColumns, InputMoments::Kind::kHessian);
    moments.add(HostRows(x_.data(), kSamples, kColumns, kColumns), pool);
    const auto inputs = method.prepare(moments, {.sparsity = sparsity, .damping = 0.01f}, pool);
    const auto encoder = inputs->encoder(format, pool);
    std::vector<std::byte> bytes(format.row_bytes(kColumns) * kRows);
    encoder->encode(weights_, kRows, bytes.data());
    Floats out(weights_.size());
    format.decode(bytes.data(), out);
    return out;
  }
  double error(const Floats& values) const { return product_error(weights_, values, hessian_); }

  const Floats &x_ = example().x, &weights_ = example().weights;
  const Doubles& hessian_ = example().hessian;
};

// As in the paper: the inverse of H + 1 %, its upper Cholesky factor; in each 128 columns the
// lowest half by w^2 / factor^2 goes.
Floats plain_sparsegpt(const Floats& weights) {
  const size_t n = kColumns, block = 128;
  const Doubles& upper = example().upper;
  Floats out(weights.size());
  for (size_t r = 0; r < kRows; ++r) {
    Doubles w(weights.begin() + static_cast<ptrdiff_t>(r * n),
              weights.begin() + static_cast<ptrdiff_t>((r + 1) * n));
    for (size_t first = 0; first < n; first += block) {
      std::vector<std::pair<double, size_t>> scores;
      for (size_t k = first; k < first + block; ++k)
        scores.emplace_back(std::pow(w[k] / upper[k * n + k], 2), k);
      std::ranges::sort(scores);
      std::vector<bool> zero(n);
      for (size_t i = 0; i < block / 2; ++i) zero[scores[i].second] = true;
      for (size_t k = first; k < first + block; ++k) {
        const double value = zero[k] ? 0 : w[k], error = (w[k] - value) / upper[k * n + k];
        out[r * n + k] = static_cast<float>(value);
        for (size_t j = k; j < n; ++j) w[j] -= error * upper[k * n + j];
      }
    }
  }
  return out;
}

TEST_F(Prune, TakesTheShareItIsAskedFor) {
  for (const Method* method : {&kMagnitude, &kWanda, &kSparseGpt}) {
    const Floats half = run(*method, parse_sparsity("50%"));
    EXPECT_EQ(std::ranges::count(half, 0.0f), half.size() / 2) << method->name;
    const Floats groups = run(*method, parse_sparsity("2:4"));
    for (size_t i = 0; i < groups.size(); i += 4)
      ASSERT_EQ(std::count(groups.begin() + i, groups.begin() + i + 4, 0.0f), 2) << method->name;
    EXPECT_EQ(run(*method, parse_sparsity("0.3"), 1), run(*method, parse_sparsity("30%"), 3));
  }
}

TEST_F(Prune, WhatIsLeftMakesGoodForWhatGoes) {
  for (const char* sparsity : {"50%", "2:4"}) {
    const double magnitude = error(run(kMagnitude, parse_sparsity(sparsity))),
                 wanda = error(run(kWanda, parse_sparsity(sparsity))),
                 sparsegpt = error(run(kSparseGpt, parse_sparsity(sparsity)));
    EXPECT_LT(wanda, 0.9 * magnitude) << sparsity;
    EXPECT_LT(sparsegpt, 0.6 * wanda) << sparsity;
  }
}

// Zeros in the format, where the mask has them; and rounding that makes good for both.
TEST_F(Prune, QuantizedZerosStay) {
  for (const Format* format : {&kQ8_0, &kQ4_0, &kQ5_0, &kQ6_K, &kMXFP4}) {
    for (const Method* method : {&kMagnitude, &kWanda, &kSparseGpt}) {
      const Floats floats = run(*method, parse_sparsity("2:4")),
                   out = run(*method, parse_sparsity("2:4"), 2, *format);
      for (size_t i = 0; i < out.size(); ++i) {
        if (floats[i] != 0) continue;
        ASSERT_EQ(out[i], 0) << format->name << " " << method->name;
      }
    }
  }
}

TEST_F(Prune, SparseGptRoundsAsItPrunes) {
  for (const Format* format : {&kQ4_0, &kQ3_K}) {
    const Floats pruned = run(kSparseGpt, parse_sparsity("50%"));
    std::vector<std::byte> bytes(format->row_bytes(kColumns) * kRows);
    round_to_nearest(*format)->encode(pruned, kRows, bytes.data());
    Floats afterwards(pruned.size());
    format->decode(bytes.data(), afterwards);
    EXPECT_LT(error(run(kSparseGpt, parse_sparsity("50%"), 2, *format)), 0.9 * error(afterwards))
        << format->name;
  }
}

TEST_F(Prune, RefusesFormatsWithoutAZero) {
  for (const Format* format : {&kQ4_1, &kQ4_K, &kIQ4_NL, &kIQ4_XS}) {
    for (const Method* method : {&kMagnitude, &kWanda, &kSparseGpt})
      EXPECT_THAT(error_of([&] { run(*method, parse_sparsity("50%"), 1, *format); }),
                  HasSubstr("no code for zero"));
  }
}

TEST_F(Prune, SparseGptLosesNoMoreThanAPlainReimplementation) {
  const double here = error(run(kSparseGpt, parse_sparsity("50%")));
  EXPECT_LE(here, 1.001 * error(plain_sparsegpt(weights_)));  // it rounds to floats
}

// Zeros of each matrix of the model's layers, and of the others.
struct Zeros {
  std::vector<double> shares;
  size_t elsewhere = 0;
};
Zeros zeros_of(const std::filesystem::path& path) {
  Zeros zeros;
  const auto model = open_checkpoint(path);
  for (const StoredTensor& tensor : model->tensors()) {
    Floats values(tensor.elements());
    tensor.decode(0, tensor.rows(), values);
    const auto count = static_cast<size_t>(std::ranges::count(values, 0.0f));
    if (input_of(tensor.place.role)) {
      zeros.shares.push_back(static_cast<double>(count) / static_cast<double>(values.size()));
    } else {
      zeros.elsewhere += count;
    }
  }
  return zeros;
}

TEST(Magnitude, NeedsNoTextAndKnowsThreeScopes) {
  const test::TempFolder folder;
  const auto source = write_tiny_model({.format = &kF16}, folder.path());
  const size_t elsewhere = zeros_of(source).elsewhere;
  for (const char* scope : {"row", "layer", "global"}) {
    const auto out = folder / scope;
    quantize_file(
        source,
        {.format = "F16", .method = "magnitude", .sparsity = "25%", .sparsity_scope = scope}, out);
    const Zeros zeros = zeros_of(out);
    EXPECT_EQ(zeros.elsewhere, elsewhere) << scope;
    double sum = 0, most = 0;
    for (const double share : zeros.shares) {
      sum += share / static_cast<double>(zeros.shares.size());
      most = std::max(most, std::fabs(share - 0.25));
    }
    if (std::string_view(scope) == "global") {
      EXPECT_GT(most, 0.01);  // matrices of other scales have other shares
      EXPECT_NEAR(sum, 0.25, 0.2);
    } else {
      EXPECT_NEAR(most, 0, 0.01) << scope;  // of equal magnitudes all go
    }
  }
  const auto refuse = [&](QuantizeOptions options) {
    return error_of([&] { quantize_file(source, options, folder / "none"); });
  };
  EXPECT_THAT(refuse({.format = "F16", .method = "magnitude", .sparsity_scope = "all"}),
              HasSubstr("unknown scope"));
  EXPECT_THAT(refuse({.format = "F16", .sparsity_scope = "global"}), HasSubstr("for magnitude"));
  EXPECT_THAT(refuse({.format = "F16", .method = "wanda"}), HasSubstr("needs a text"));
}

// Against sorting.
TEST(Magnitude, OfAShareIsThatOfItsRank) {
  ThreadPool pool(3);
  std::vector<Floats> values = {random_floats(1000, 1), random_floats(500, 2)};
  for (float& v : values[1]) v *= 0x1p-20f;
  std::vector<StoredTensor> tensors(2);
  Floats all;
  for (size_t i = 0; i < 2; ++i) {
    tensors[i].format = &kF32;
    tensors[i].shape = {50, values[i].size() / 50};
    tensors[i].bytes = std::as_bytes(std::span(values[i]));
    for (const float v : values[i]) all.push_back(std::fabs(v));
  }
  std::ranges::sort(all);
  for (const double share : {0.001, 0.2, 0.5, 0.9}) {
    const auto rank = static_cast<size_t>(share * 1500 + 1e-9);
    EXPECT_EQ(magnitude_of_share(tensors, share, pool), all[rank - 1]) << share;
  }
  EXPECT_LT(magnitude_of_share(tensors, 0, pool), 0);
}

TEST(Sparsity, IsReadStrictly) {
  EXPECT_EQ(parse_sparsity("2:4").group, 4);
  EXPECT_DOUBLE_EQ(parse_sparsity("25%").share, 0.25);
  for (const char* bad :
       {"", "half", "100%", "-1", "1", "4:4", "5:4", "1:", ":4", "1:1e9", "nan", "0.5x"})
    EXPECT_THAT(error_of([&] { parse_sparsity(bad); }), HasSubstr("sparsity is")) << bad;
}

}  // namespace
}  // namespace tessera
