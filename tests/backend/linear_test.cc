// Linear against a double-precision oracle over the values that formats/ decodes, and against
// itself: an output may not depend on the other rows of a call, on the threads or on the tile that
// computed it.
#include "backend/cpu/linear.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "backend/cpu/elementwise.h"
#include "backend/linear_support.h"
#include "base/error.h"
#include "base/simd/target.h"

namespace tessera::cpu {
namespace {

class LinearTest : public ::testing::TestWithParam<const Format*> {};

TEST_P(LinearTest, IsTheProductOnEveryTarget) {
  const Format& format = *GetParam();
  std::mt19937 rng(1);
  ThreadPool pool(2);
  struct Shape {
    int outputs, columns, rows;
  };
  std::vector<Shape> shapes = {
      {1, 256, 1}, {16, 256, 2}, {50, 512, 3}, {33, 1024, 9}, {17, 768, 37}};
  shapes.insert(shapes.end(), {{5, 32, 1}, {40, 96, 5}, {19, 576, 50}, {6, 384, 6}});
  std::erase_if(shapes, [&](const Shape& shape) {
    return shape.columns % static_cast<int>(format.block_elements) != 0;
  });
  if (is_float(format)) shapes.insert(shapes.end(), {{20, 1, 3}, {35, 37, 13}, {64, 129, 4}});
  for (const Shape& shape : shapes) {
    const Weights w = make_weights({{&format, shape.outputs}}, shape.columns, rng);
    const std::vector<float> x = random_activations(shape.rows, shape.columns, rng);
    const auto matrix = load_matrix(pool, w.parts, shape.columns);
    ASSERT_EQ(matrix->rows, shape.outputs);
    ASSERT_EQ(matrix->columns, shape.columns);
    for (const char* target : available_targets()) {
      cap_target(target);
      const std::string what = fmt::format("{} {}x{}, {} rows, {}", format.name, shape.outputs,
                                           shape.columns, shape.rows, target);
      ASSERT_EQ(matrix->dot_rows, w.quantized ? shape.outputs : 0) << what;
      expect_product(w, x, shape.rows, run_linear(pool, *matrix, x, shape.rows), what);
      cap_target("");
    }
  }
}

TEST_P(LinearTest, GatedIsTheProductOfItsPartsBitForBit) {
  const Format& format = *GetParam();
  std::mt19937 rng(3);
  ThreadPool pool(2);
  for (const int rows : {1, 6, 70}) {
    const int half = 72, columns = 512;
    const Weights w = make_weights({{&format, half}, {&format, half}}, columns, rng);
    const std::vector<float> x = random_activations(rows, columns, rng);
    const auto matrix = load_matrix(pool, w.parts, columns);
    const std::vector<float> plain = run_linear(pool, *matrix, x, rows);
    const std::vector<float> some = random_activations(1, 2 * half, rng);
    std::vector<float> expected(static_cast<size_t>(rows) * half), result(expected.size());
    for (const auto& [activation, bias] : {std::pair(Activation::kSilu, std::vector<float>()),
                                           {Activation::kGelu, {}},
                                           {Activation::kClampedSilu, some}}) {
      std::vector<float> both = plain;
      for (size_t i = 0; i < both.size() && !bias.empty(); ++i) both[i] += bias[i % bias.size()];
      gated(activation, {both.data(), rows, half, 2 * half},
            {both.data() + half, rows, half, 2 * half}, {expected.data(), rows, half, half});
      LinearScratch scratch;
      linear_gated(pool, scratch, *matrix, {const_cast<float*>(x.data()), rows, columns, columns},
                   bias, activation, {result.data(), rows, half, half});
      EXPECT_EQ(std::memcmp(result.data(), expected.data(), expected.size() * sizeof(float)), 0)
          << format.name << ", " << rows << " rows";
    }
  }
}

TEST_P(LinearTest, GatedWantsTwoPartsAlike) {
  std::mt19937 rng(4);
  ThreadPool pool(1);
  const Weights w = make_weights({{GetParam(), 32}, {GetParam(), 64}}, 256, rng);
  const auto matrix = load_matrix(pool, w.parts, 256);
  std::vector<float> x(256), out(64);
  LinearScratch scratch;
  EXPECT_THROW(linear_gated(pool, scratch, *matrix, {x.data(), 1, 256, 256}, {}, Activation::kSilu,
                            {out.data(), 1, 64, 64}),
               Error);
}

TEST_P(LinearTest, ARowIsTheSameAloneAndInAnyBatchOnEveryTarget) {
  const Format& format = *GetParam();
  std::mt19937 rng(2);
  ThreadPool pool(2);
  constexpr int kRows = 70, kColumns = 768, kOutputs = 72;
  const Weights w = make_weights({{&format, kOutputs}}, kColumns, rng);
  const std::vector<float> x = random_activations(kRows, kColumns, rng);
  const auto matrix = load_matrix(pool, w.parts, kColumns);
  for (const char* target : available_targets()) {
    cap_target(target);
    std::vector<float> alone;
    for (int r = 0; r < kRows; ++r) {
      const std::vector<float> y = run_linear(pool, *matrix, rows_of(x, r, 1, kColumns), 1);
      alone.insert(alone.end(), y.begin(), y.end());
    }
    for (int count : {2, 3, 4, 5, 6, 7, 8, 9, 11, 15, 16, 23, 40, 64, 69, 70}) {
      const int first = (kRows - count) / 2;
      expect_same(run_linear(pool, *matrix, rows_of(x, first, count, kColumns), count),
                  rows_of(alone, first, count, kOutputs),
                  fmt::format("{} rows, {}", count, target));
    }
    cap_target("");
  }
}

TEST_P(LinearTest, IsTheSameWithAnyNumberOfThreads) {
  const Format& format = *GetParam();
  std::mt19937 rng(3);
  constexpr int kColumns = 512, kOutputs = 333;
  const Weights w = make_weights({{&format, kOutputs}}, kColumns, rng);
  for (int rows : {1, 6, 70}) {
    const std::vector<float> x = random_activations(rows, kColumns, rng);
    std::vector<float> first;
    for (int threads = 1; threads <= 4; ++threads) {
      ThreadPool pool(threads);
      const auto matrix = load_matrix(pool, w.parts, kColumns);
      const std::vector<float> y = run_linear(pool, *matrix, x, rows);
      if (threads == 1) first = y;
      expect_same(y, first, fmt::format("{} rows, {} threads", rows, threads));
    }
  }
}

// Bits of a weight in the file, or what a file would take of a grouped format; of what no kernel
// has narrow codes for, those of the layout.
double fitting_bits(const Format& format) {
  if (const GroupedKind* kind = grouped_kind(format)) {
    if (kind->codes == kInteger && kind->group == 16) return 32;  // decoded
    const bool bytes = kind->codes == kE4M3 || kind->codes == kE5M2;
    const int bits = kind->codes != kInteger ? (bytes ? 8 : 4) : std::max(2, kind->bits);
    const size_t scale = bytes ? 4 : kind->scale_bytes();
    const int group = bytes ? std::min(kind->group, 128) : kind->group;
    return bits + 8.0 * static_cast<double>(scale + kind->offset_bytes()) / group;
  }
  if (&format == &kQ1_0) return 2 + 16.0 / 128;
  if (&format == &kTQ1_0) return 2 + 16.0 / 256;
  const int group = format.quantized == nullptr ? 0 : format.quantized->group;
  if (format.name.substr(0, 2) == "IQ" && format.encode == nullptr) {
    return 4 + (16.0 + 8 * 256 / group) / 256;
  }
  return 8.0 * format.block_bytes / format.block_elements;
}

TEST_P(LinearTest, TakesTheMemoryOfTheFile) {
  const Format& format = *GetParam();
  std::mt19937 rng(4);
  ThreadPool pool(2);
  const Weights w = make_weights({{&format, 64}}, 2048, rng);
  EXPECT_LE(static_cast<double>(load_matrix(pool, w.parts, 2048)->bytes),
            1.05 * fitting_bits(format) / 8 * 64 * 2048);
}

// Weights of a file are untrusted: any bits must give some result and no undefined behaviour.
TEST_P(LinearTest, TakesAnyBits) {
  const Format& format = *GetParam();
  std::mt19937 rng(5);
  ThreadPool pool(1);
  std::vector<std::byte> bytes(format.row_bytes(256) * 20);
  for (std::byte& b : bytes) b = static_cast<std::byte>(rng());
  const Part part = {&format, bytes, 20};
  const auto matrix = load_matrix(pool, {&part, 1}, 256);
  for (const char* target : available_targets()) {
    cap_target(target);
    run_linear(pool, *matrix, random_activations(3, 256, rng), 3);
    cap_target("");
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, LinearTest, ::testing::ValuesIn(formats()),
                         [](const auto& test) { return label(*test.param); });

TEST(Linear, StacksPartsOfDifferentFormatsAndAddsTheBias) {
  std::mt19937 rng(6);
  ThreadPool pool(3);
  const Weights w =
      make_weights({{&kQ4_K, 37}, {&kF16, 5}, {&kQ6_K, 64}, {&kQ4_1, 3}, {&kQ4_K, 18}}, 512, rng);
  for (int rows : {1, 4, 21}) {
    const std::vector<float> x = random_activations(rows, 512, rng);
    const auto matrix = load_matrix(pool, w.parts, 512);
    ASSERT_EQ(matrix->rows, 127);
    const std::vector<float> bias = random_activations(1, 127, rng);
    const std::vector<float> y = run_linear(pool, *matrix, x, rows);
    std::vector<float> expected = y;
    for (size_t i = 0; i < expected.size(); ++i) expected[i] += bias[i % 127];
    expect_same(run_linear(pool, *matrix, x, rows, bias), expected, "bias");

    int first = 0;
    for (const Part& part : w.parts) {  // the same as each part alone
      const auto alone = load_matrix(pool, {&part, 1}, 512);
      const std::vector<float> piece = run_linear(pool, *alone, x, rows);
      for (int r = 0; r < rows; ++r) {
        const auto from = y.begin() + r * 127 + first;
        expect_same({from, from + part.rows}, rows_of(piece, r, 1, part.rows), "part");
      }
      first += part.rows;
    }
  }
}

TEST(Linear, KeepsToTheColumnsOfItsArguments) {  // rows may be slices of wider ones
  std::mt19937 rng(7);
  ThreadPool pool(2);
  const Weights w = make_weights({{&kQ8_0, 21}}, 64, rng);
  const auto matrix = load_matrix(pool, w.parts, 64);
  const std::vector<float> x = random_activations(3, 64, rng);
  std::vector<float> wide_x(3 * 100, 1e30f), wide_out(3 * 50, -7.0f);
  for (int r = 0; r < 3; ++r) std::copy_n(x.begin() + r * 64, 64, wide_x.begin() + r * 100 + 20);
  LinearScratch scratch;
  linear(pool, scratch, *matrix, HostTensor{wide_x.data(), 3, 100, 100}.slice(20, 64), {},
         HostTensor{wide_out.data(), 3, 50, 50}.slice(10, 21));
  const std::vector<float> y = run_linear(pool, *matrix, x, 3);
  for (int r = 0; r < 3; ++r) {
    for (int i = 0; i < 50; ++i) {
      const bool inside = i >= 10 && i < 31;
      EXPECT_EQ(wide_out[r * 50 + i], inside ? y[r * 21 + i - 10] : -7.0f);
    }
  }
}

TEST(Linear, TakesZerosTinyValuesAndNaN) {
  std::mt19937 rng(8);
  ThreadPool pool(1);
  const Weights w = make_weights({{&kQ4_0, 16}}, 64, rng);
  const auto matrix = load_matrix(pool, w.parts, 64);
  std::vector<float> x = random_activations(4, 64, rng);
  std::fill_n(x.begin(), 64, 0.0f);
  std::fill_n(x.begin() + 64, 64, std::numeric_limits<float>::denorm_min());
  x[2 * 64 + 5] = std::numeric_limits<float>::quiet_NaN();
  x[3 * 64 + 5] = std::numeric_limits<float>::infinity();
  for (const char* target : available_targets()) {
    cap_target(target);
    const std::vector<float> y = run_linear(pool, *matrix, x, 4);
    EXPECT_THAT(rows_of(y, 0, 2, 16), ::testing::Each(0.0f)) << target;
    EXPECT_THAT(rows_of(y, 2, 2, 16), ::testing::Each(::testing::IsNan())) << target;
    cap_target("");
  }
  EXPECT_TRUE(run_linear(pool, *matrix, {}, 0).empty());
}

TEST(Linear, RefusesBytesThatAreNotTheMatrix) {
  std::mt19937 rng(9);
  ThreadPool pool(1);
  const std::vector<std::byte> bytes(1000);
  const Part part = {&kQ4_0, bytes, 16};
  EXPECT_THROW(load_matrix(pool, {&part, 1}, 64), Error);  // 576 bytes are expected
  EXPECT_THROW(load_matrix(pool, {&part, 1}, 63), Error);  // no whole number of blocks
  EXPECT_THROW(load_matrix(pool, {&part, 1}, -32), Error);
  for (const Format* known : all_formats()) {
    const Format& format = *known;
    if (format.supported()) continue;
    const Part unknown = {&format, bytes, 1};
    EXPECT_THROW(load_matrix(pool, {&unknown, 1}, 256), Error) << format.name;
  }
}

}  // namespace
}  // namespace tessera::cpu
