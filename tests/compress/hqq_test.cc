// HQQ against a plain reimplementation in double.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/half.h"
#include "compress/methods/method.h"
#include "compress/plain_gptq.h"
#include "compress/quantize.h"
#include "support/error_of.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

using testing::HasSubstr;

class Hqq : public testing::TestWithParam<const Format*> {
 protected:
  const Format& format() const { return *GetParam(); }
  double error(const Floats& values) const {
    return product_error(weights_, values, example().hessian);
  }
  Floats decoded(const std::vector<std::byte>& bytes) const {
    Floats values(weights_.size());
    format().decode(bytes.data(), values);
    return values;
  }
  Floats ours() const {
    std::vector<std::byte> bytes(format().row_bytes(weights_.size()));
    kHqq.without_text(format(), {}, {})->encode(weights_, kRows, bytes.data());
    return decoded(bytes);
  }
  // As in the authors' code: scales from minimum and maximum, then only the zero point moves; both
  // are kept as f16. Of k-quants, the groups alone: as if each had an f16 scale and zero of its
  // own.
  Floats plain() const;

  const Floats& weights_ = example().weights;
};

Floats Hqq::plain() const {
  const auto size = static_cast<size_t>(format().quantized->group);
  const double last = format().quantized->last_code();
  const auto f16 = [](double x) {
    return static_cast<double>(f16_to_f32(f32_to_f16(static_cast<float>(x))));
  };
  Floats out;
  for (size_t first = 0; first < weights_.size(); first += size) {
    const Doubles w(weights_.begin() + static_cast<ptrdiff_t>(first),
                    weights_.begin() + static_cast<ptrdiff_t>(first + size));
    const auto [low, high] = std::ranges::minmax(w);
    const double scale = last / (high - low);
    double zero = -low * scale, beta = 10, best = INFINITY;
    const auto code = [&](double x, double s, double z) {
      return std::clamp(std::nearbyint(x * s + z), 0.0, last);
    };
    for (int i = 0; i < 20; ++i) {
      double error = 0, sum = 0;
      for (const double x : w) {
        const double q = code(x, scale, zero), e = x - (q - zero) / scale;
        const double shrunk =
            std::copysign(std::max(0.0, std::abs(e) - std::pow(std::abs(e), 0.7 - 1) / beta), e);
        error += std::abs(e);
        sum += q - (x - shrunk) * scale;
      }
      zero = sum / static_cast<double>(size);
      beta *= 1.01;
      if (!(error < best)) break;
      best = error;
    }
    const double step = f16(1 / scale), offset = f16(zero);
    for (const double x : w)
      out.push_back(static_cast<float>(step * (code(x, 1 / step, offset) - offset)));
  }
  return out;
}

double mean_magnitude(const Floats& a, const Floats& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i)
    sum += std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
  return sum / static_cast<double>(a.size());
}

TEST_P(Hqq, LosesNoMoreThanAPlainReimplementation) {
  const Floats here = ours(), there = plain();
  EXPECT_LE(error(here), error(there));
  EXPECT_LE(mean_magnitude(here, weights_), mean_magnitude(there, weights_));
  RecordProperty("ratio_to_plain", std::to_string(error(here) / error(there)));
}

// In the norm that it is about, no block gets worse than rounding to nearest leaves it.
TEST_P(Hqq, MovesZerosWhereThatHelps) {
  std::vector<std::byte> nearest(format().row_bytes(weights_.size()));
  format().encode(weights_, nearest.data(), {});
  const Floats before = decoded(nearest), after = ours();
  const auto lp = [&](const Floats& values, size_t first) {
    double sum = 0;
    for (size_t i = first; i < first + format().block_elements; ++i)
      sum += std::pow(std::abs(static_cast<double>(values[i]) - static_cast<double>(weights_[i])),
                      0.7);
    return sum;
  };
  size_t better = 0;
  for (size_t first = 0; first < weights_.size(); first += format().block_elements) {
    EXPECT_LE(lp(after, first), lp(before, first) * (1 + 1e-6));
    better += lp(after, first) < lp(before, first);
  }
  // Q4_K's minimums come in steps wider than what is left to move behind the encoder's search.
  if (&format() == &kQ4_K) return;
  EXPECT_GT(better, 0U);
}

INSTANTIATE_TEST_SUITE_P(Formats, Hqq, testing::Values(&kQ4_1, &kQ5_1, &kQ2_K, &kQ4_K, &kQ5_K),
                         [](const auto& instance) { return std::string(instance.param->name); });

TEST(HqqErrors, AreOneLine) {
  test::TempFolder folder;
  const auto source = write_tiny_model({}, folder.path());
  const auto out = folder / "out.gguf";
  EXPECT_THAT(error_of([&] {
                quantize_file(source, {.format = "Q4_0", .pure = true, .method = "hqq"}, out);
              }),
              HasSubstr("the method hqq cannot encode to Q4_0"));
  EXPECT_THAT(error_of([&] {
                quantize_file(source, {.format = "Q4_1", .method = "hqq", .calibration = "a text"},
                              out);
              }),
              HasSubstr("the method hqq looks neither at a text nor at an importance matrix"));
  EXPECT_FALSE(std::filesystem::exists(out));
  quantize_file(source, {.format = "Q4_1", .method = "hqq"}, out);
  EXPECT_TRUE(std::filesystem::exists(out));
}

}  // namespace
}  // namespace tessera
