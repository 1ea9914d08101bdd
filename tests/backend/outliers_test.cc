// LLM.int8(): activations that are too large to share a scale meet their weights in f32.
#include "backend/cpu/outliers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "backend/cpu/linear.h"
#include "formats/grouped.h"
#include "formats/int8_groups.h"

namespace tessera::cpu {
namespace {

constexpr int kRows = 70, kColumns = 320, kTexts = 9;
constexpr float kThreshold = 6;

struct Weights {
  std::unique_ptr<Matrix> matrix;
  std::vector<float> values;  // decoded
};

class OutliersTest : public testing::Test {
 protected:
  Weights load(const Format& format) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    std::vector<float> values(kRows * kColumns);
    for (float& value : values) value = normal(random);
    std::vector<std::byte> bytes(format.row_bytes(kColumns) * kRows);
    format.encode(values, bytes.data(), {});
    Weights weights;
    weights.values.resize(values.size());
    format.decode(bytes.data(), weights.values);
    const Backend::WeightPart part = {&format, bytes, kRows};
    weights.matrix = load_matrix(pool_, arena_, {&part, 1}, kColumns);
    return weights;
  }

  std::vector<float> multiply(const Matrix& matrix, std::vector<float>& x, int texts) {
    std::vector<float> out(static_cast<size_t>(texts) * kRows);
    LinearScratch scratch;
    linear(pool_, scratch, matrix, {x.data(), texts, kColumns, kColumns}, {},
           {out.data(), texts, kRows, kRows});
    return out;
  }

  // Rows of values around 1 with a few large ones: some where others have them, too, two of them
  // neighbours, the last column among them.
  std::vector<float> activations(bool outliers) const {
    std::mt19937 random(2);
    std::normal_distribution<float> normal;
    std::vector<float> x(kTexts * kColumns);
    for (float& value : x) value = std::clamp(normal(random), -5.0f, 5.0f);
    for (int text = 0; text < kTexts && outliers; ++text) {
      for (const int column : {3, 100, 101, kColumns - 1 - text})
        if (text != 4) x[text * kColumns + column] = (column % 2 == 0 ? -300.0f : 90.0f) + text;
    }
    return x;
  }

  static double error(const Weights& weights, std::span<const float> x, std::span<const float> y) {
    double most = 0;
    for (int text = 0; text < kTexts; ++text) {
      for (int row = 0; row < kRows; ++row) {
        double sum = 0;
        for (int c = 0; c < kColumns; ++c)
          sum += double{x[text * kColumns + c]} * weights.values[row * kColumns + c];
        most = std::max(most, std::abs(sum - y[text * kRows + row]));
      }
    }
    return most;
  }

  ThreadPool pool_{2};
  WeightArena arena_;
};

const Format* const kFormats[] = {&kQ4_0, &kQ4_1, &kQ5_0, &kQ5_1, &kQ8_0, &kMXFP4, &kIQ4_NL};

TEST_F(OutliersTest, CostNothingOfWhatStandsBesideThem) {
  std::vector<const Format*> formats(std::begin(kFormats), std::end(kFormats));
  formats.push_back(int8_groups(kColumns));
  for (const Format* format : formats) {
    const Weights weights = load(*format);
    std::vector<float> calm = activations(false), x = activations(true);
    const double usual = error(weights, calm, multiply(*weights.matrix, calm, kTexts));
    const double together = error(weights, x, multiply(*weights.matrix, x, kTexts));
    weights.matrix->outlier_threshold = kThreshold;
    const double apart = error(weights, x, multiply(*weights.matrix, x, kTexts));
    EXPECT_LT(apart, 2 * usual + 1e-3) << format->name;
    EXPECT_GT(together, 5 * usual) << format->name << ": or there is nothing to show";
  }
}

TEST_F(OutliersTest, RowsDoNotDependOnTheirCompany) {
  const Weights weights = load(*int8_groups(kColumns));
  weights.matrix->outlier_threshold = kThreshold;
  std::vector<float> x = activations(true);
  const auto together = multiply(*weights.matrix, x, kTexts);
  for (int text = 0; text < kTexts; ++text) {
    std::vector<float> alone(x.begin() + text * kColumns, x.begin() + (text + 1) * kColumns);
    const auto y = multiply(*weights.matrix, alone, 1);
    for (int row = 0; row < kRows; ++row) EXPECT_EQ(y[row], together[text * kRows + row]) << text;
  }
}

TEST_F(OutliersTest, WithoutAnyTheBitsAreTheSame) {
  const Weights weights = load(kQ8_0);
  std::vector<float> x = activations(false);
  const auto plain = multiply(*weights.matrix, x, kTexts);
  weights.matrix->outlier_threshold = kThreshold;
  EXPECT_EQ(multiply(*weights.matrix, x, kTexts), plain);
}

TEST_F(OutliersTest, WhatIsNoNumberIsSeen) {
  const Weights weights = load(kQ8_0);
  weights.matrix->outlier_threshold = kThreshold;
  std::vector<float> x = activations(true);
  x[7] = std::numeric_limits<float>::infinity();
  EXPECT_TRUE(std::isnan(multiply(*weights.matrix, x, kTexts)[0]));
}

}  // namespace
}  // namespace tessera::cpu
