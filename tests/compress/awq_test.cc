// AWQ against a plain reimplementation in double, on formats of every kind.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "compress/plain_gptq.h"
#include "compress/scalings/scaling.h"

namespace tessera {
namespace {

class Awq : public testing::TestWithParam<const Format*> {
 protected:
  const Format& format() const { return *GetParam(); }
  size_t group() const { return static_cast<size_t>(format().quantized->group); }
  double error(const Floats& values) const {
    return product_error(example().weights, values, example().hessian);
  }
  // Encoded and decoded, without any importance.
  Floats rounded(const Floats& values) const {
    std::vector<std::byte> bytes(format().row_bytes(values.size()));
    format().encode(values, bytes.data(), {});
    Floats out(values.size());
    format().decode(bytes.data(), out);
    return out;
  }
  Floats plain_awq() const;
  Floats our_awq() const;

  const Floats &x_ = example().x, &weights_ = example().weights;
};

// As in the authors' code: 20 ratios, then ten limits for each group of each row, both by the
// squared error on the activations; the latter within the group alone.
Floats Awq::plain_awq() const {
  const size_t n = kColumns;
  Doubles x_mean(n), w_mean(n);
  for (size_t i = 0; i < x_.size(); ++i)
    x_mean[i % n] += std::abs(static_cast<double>(x_[i])) / kSamples;
  for (size_t first = 0; first < weights_.size(); first += group()) {
    double most = 0;
    for (size_t i = 0; i < group(); ++i)
      most = std::max(most, std::abs(static_cast<double>(weights_[first + i])));
    for (size_t i = 0; i < group(); ++i) {
      const double w = std::abs(static_cast<double>(weights_[first + i]));
      w_mean[(first + i) % n] += w / (most + 1e-6) / kRows;
    }
  }
  Doubles scales(n, 1.0), best;
  double least = INFINITY;
  for (int i = 0; i < 20; ++i) {
    const double ratio = i / 20.0;
    for (size_t c = 0; c < n; ++c) {
      scales[c] =
          std::max(std::pow(x_mean[c], ratio) / (std::pow(w_mean[c], 1 - ratio) + 1e-4), 1e-4);
    }
    const auto [low, high] = std::ranges::minmax(scales);
    for (double& scale : scales) scale /= std::sqrt(low * high);
    Floats scaled(weights_.size());
    for (size_t k = 0; k < scaled.size(); ++k)
      scaled[k] = static_cast<float>(static_cast<double>(weights_[k]) * scales[k % n]);
    Floats back = rounded(scaled);
    for (size_t k = 0; k < back.size(); ++k)
      back[k] = static_cast<float>(static_cast<double>(back[k]) / scales[k % n]);
    if (const double now = error(back); now < least) least = now, best = scales;
  }

  // The clip search, in the scaled space.
  Floats scaled(weights_.size()), limited;
  for (size_t k = 0; k < scaled.size(); ++k)
    scaled[k] = static_cast<float>(static_cast<double>(weights_[k]) * best[k % n]);
  Doubles lowest(scaled.size() / group(), INFINITY);
  Floats clipped = scaled;
  const Doubles& hessian = example().hessian;
  for (int step = 0; step < 10; ++step) {
    limited = scaled;
    for (size_t first = 0; first < scaled.size(); first += group()) {
      float most = 0;
      for (size_t i = 0; i < group(); ++i) most = std::max(most, std::abs(scaled[first + i]));
      const float limit = most * (1 - 0.05f * static_cast<float>(step));
      for (size_t i = 0; i < group(); ++i)
        limited[first + i] = std::clamp(scaled[first + i], -limit, limit);
    }
    const Floats values = rounded(limited);
    for (size_t g = 0; g < lowest.size(); ++g) {
      double now = 0;
      for (size_t i = 0; i < group(); ++i) {
        for (size_t j = 0; j < group(); ++j) {
          const size_t a = g * group() + i, b = g * group() + j;
          now += (static_cast<double>(scaled[a]) - static_cast<double>(values[a])) *
                 (static_cast<double>(scaled[b]) - static_cast<double>(values[b])) *
                 hessian[a % n * n + b % n] / best[a % n] / best[b % n];
        }
      }
      if (!(now < lowest[g])) continue;
      lowest[g] = now;
      std::copy_n(limited.begin() + static_cast<ptrdiff_t>(g * group()), group(),
                  clipped.begin() + static_cast<ptrdiff_t>(g * group()));
    }
  }
  Floats out = rounded(clipped);
  for (size_t k = 0; k < out.size(); ++k)
    out[k] = static_cast<float>(static_cast<double>(out[k]) / best[k % n]);
  return out;
}

Floats Awq::our_awq() const {
  ThreadPool pool(2);
  InputMoments moments(kColumns, InputMoments::Kind::kHessian);
  moments.add(HostRows(x_.data(), kSamples, kColumns, kColumns), pool);
  StoredTensor tensor;
  tensor.name = "weights";
  tensor.format = &kF32;
  tensor.shape = {kColumns, kRows};
  tensor.bytes = std::as_bytes(std::span(weights_));
  Fold fold{.inputs = TapPoint::kDownInput,
            .matrices = {TensorRole::kDown},
            .divided = {},
            .source = std::vector<int>(kColumns),
            .sources = kColumns};
  std::iota(fold.source.begin(), fold.source.end(), 0);
  const ScaledChannels channels{
      .fold = fold, .matrices = {{&tensor, &format()}}, .inputs = moments};
  std::vector<float> scales = kAwq.choose(channels, pool);
  if (scales.empty()) scales.assign(kColumns, 1.0f);
  moments.divide(scales);
  Floats rows(weights_.size());
  scaled(tensor, {}, scales).decode(0, kRows, rows);
  std::vector<std::byte> bytes(format().row_bytes(kColumns) * kRows);
  kAwq.method->prepare(moments, {}, pool)
      ->encoder(format(), pool)
      ->encode(rows, kRows, bytes.data());
  format().decode(bytes.data(), rows);
  for (size_t k = 0; k < rows.size(); ++k) rows[k] /= scales[k % kColumns];
  return rows;
}

TEST_P(Awq, LosesNoMoreThanAPlainReimplementation) {
  const double nearest = error(rounded(weights_)), plain = error(plain_awq()),
               here = error(our_awq());
  EXPECT_LE(here, plain) << "rounding to nearest: " << nearest;
  EXPECT_LT(here, 0.9 * nearest);
  RecordProperty("ratio_to_plain", std::to_string(here / plain));
  RecordProperty("ratio_to_nearest", std::to_string(here / nearest));
}

INSTANTIATE_TEST_SUITE_P(Formats, Awq,
                         testing::Values(&kQ4_0, &kQ4_1, &kQ8_0, &kQ3_K, &kQ4_K, &kMXFP4),
                         [](const auto& instance) { return std::string(instance.param->name); });

}  // namespace
}  // namespace tessera
