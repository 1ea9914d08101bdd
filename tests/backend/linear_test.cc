// Linear against a double-precision oracle over the values that formats/ decodes, and against
// itself: an output may not depend on the other rows of a call, on the threads or on the tile that
// computed it.
#include "backend/cpu/linear.h"
#include "backend/cpu/elementwise.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/half.h"
#include "base/simd/target.h"
#include "formats/grouped.h"

namespace tessera::cpu {
namespace {

using Part = Backend::WeightPart;

const Format* const kFileFormats[] = {
    &kF32,   &kF16,   &kBF16,  &kQ4_0,    &kQ4_1,   &kQ5_0,  &kQ5_1,    &kQ8_0,  &kQ2_K, &kQ3_K,
    &kQ4_K,  &kQ5_K,  &kQ6_K,  &kIQ4_NL,  &kIQ4_XS, &kMXFP4, &kTQ1_0,   &kTQ2_0, &kQ1_0, &kQ2_0,
    &kNVFP4, &kIQ1_S, &kIQ1_M, &kIQ2_XXS, &kIQ2_XS, &kIQ2_S, &kIQ3_XXS, &kIQ3_S};

using enum GroupedCodes;
using enum GroupedOffset;
const GroupedKind kGroupedKinds[] = {
    {.bits = 4, .zero_point = 8, .group = 128},
    {.bits = 4, .offset = kZero, .group = 128},
    {.bits = 4, .offset = kZero, .group = 32},
    {.bits = 4, .f32_scales = true, .offset = kMin, .group = 64},
    {.bits = 8, .f32_scales = true, .zero_point = 128, .group = 256},
    {.bits = 8, .offset = kZero, .group = 128},
    {.bits = 8, .f32_scales = true, .offset = kZero, .group = 32},
    {.bits = 3, .zero_point = 4, .group = 64},
    {.bits = 3, .offset = kZero, .group = 128},
    {.bits = 3, .offset = kMin, .group = 32},
    {.bits = 2, .zero_point = 2, .group = 32},
    {.bits = 2, .offset = kZero, .group = 64},
    {.bits = 1, .f32_scales = true, .offset = kMin, .group = 64},
    {.bits = 6, .zero_point = 32, .group = 128},
    {.bits = 4, .offset = kZero, .group = 16},  // no kernel of dots has it: decoded
    {.codes = kNF4, .f32_scales = true, .group = 64},
    {.codes = kNF4, .group = 256},
    {.codes = kFP4, .f32_scales = true, .group = 64},
    {.codes = kE2M1, .group = 32},
    {.codes = kE2M1, .f32_scales = true, .group = 16},
    {.codes = kE4M3, .f32_scales = true, .group = 128},
    {.codes = kE4M3, .group = 256},
    {.codes = kE5M2, .f32_scales = true, .group = 32},
};

std::vector<const Format*> formats() {
  std::vector<const Format*> all(std::begin(kFileFormats), std::end(kFileFormats));
  for (const GroupedKind& kind : kGroupedKinds) all.push_back(&grouped_format(kind));
  return all;
}

// nullptr if it is no grouped format.
const GroupedKind* grouped_kind(const Format& format) {
  const auto* kind = std::ranges::find_if(
      kGroupedKinds, [&](const GroupedKind& known) { return &grouped_format(known) == &format; });
  return kind == std::end(kGroupedKinds) ? nullptr : kind;
}

bool is_float(const Format& format) {
  return format.block_elements == 1;
}

// Its weights meet activations as they are, not as int8.
bool meets_floats(const Format& format) {
  return !find_layout(format).has_value();
}

std::string label(const Format& format) {
  std::string name(format.name);
  std::ranges::replace(name, '/', '_');
  if (const GroupedKind* kind = grouped_kind(format)) {
    name += kind->f32_scales ? "_f32" : "_f16";
    name += kind->offset == kZero ? "_zero" : kind->offset == kMin ? "_min" : "";
  }
  return name;
}

// Where a block's f16 scales and mins lie.
std::vector<size_t> f16_fields(const Format& format) {
  const std::string name(format.name);
  if (name == "Q4_1" || name == "Q5_1" || name == "Q4_K" || name == "Q5_K") return {0, 2};
  if (name == "Q2_K") return {80, 82};
  if (name == "Q3_K") return {108};
  if (name == "Q6_K") return {208};
  if (name == "TQ1_0") return {52};
  if (name == "TQ2_0") return {64};
  if (name == "MXFP4" || name == "NVFP4" || name == "IQ1_M") return {};
  return {0};
}

void store_f16(float value, std::byte* to) {
  const uint16_t bits = f32_to_f16(value);
  std::memcpy(to, &bits, sizeof(bits));
}

void write_random_block(const GroupedKind& kind, std::mt19937& rng, std::byte* block) {
  std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
  std::vector<uint8_t> codes(static_cast<size_t>(kind.group));
  for (uint8_t& code : codes) {
    code = static_cast<uint8_t>(rng());
    if (kind.codes == kE4M3 && (code & 127) == 127) code = 0;       // NaN
    if (kind.codes == kE5M2 && (code & 127) >= 0x7c) code &= 0x83;  // and infinities
  }
  const float zero = static_cast<float>(rng() % (1u << kind.bits));
  const float offset = kind.offset == kZero ? zero : uniform(rng);
  write_grouped_block(kind, uniform(rng), offset, codes, block);
}

// Every bit of every code and sub-scale at random; only the floats are kept in a sane range.
std::vector<std::byte> random_weights(const Format& format, int rows, int columns,
                                      std::mt19937& rng) {
  const size_t row_bytes = format.row_bytes(static_cast<uint64_t>(columns));
  std::vector<std::byte> bytes(row_bytes * static_cast<size_t>(rows));
  std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
  for (std::byte& b : bytes) b = static_cast<std::byte>(rng());
  const GroupedKind* grouped = grouped_kind(format);
  for (size_t at = 0; at < bytes.size(); at += format.block_bytes) {
    if (grouped != nullptr) {
      write_random_block(*grouped, rng, &bytes[at]);
    } else if (&format == &kF32) {
      const float value = uniform(rng);
      std::memcpy(&bytes[at], &value, sizeof(value));
    } else if (&format == &kBF16) {
      const uint16_t bits = f32_to_bf16(uniform(rng));
      std::memcpy(&bytes[at], &bits, sizeof(bits));
    } else {
      for (size_t field : f16_fields(format)) store_f16(uniform(rng), &bytes[at + field]);
      if (&format == &kMXFP4) bytes[at] = static_cast<std::byte>(120 + rng() % 16);
      if (&format == &kIQ1_M) {  // the upper bits of its scale, an f16
        std::byte& top = bytes[at + format.block_bytes - 1];
        top = (top & std::byte{0x0f}) | std::byte{0x30};
      }
    }
  }
  return bytes;
}

std::vector<float> random_activations(int rows, int columns, std::mt19937& rng) {
  std::normal_distribution<float> normal;
  std::vector<float> x(static_cast<size_t>(rows) * columns);
  for (float& value : x) value = normal(rng) * std::exp2(static_cast<float>(rng() % 9) - 4.0f);
  return x;
}

// Activations as quantized weights meet them: int8 codes times a scale, in blocks of 32
// (backend.h).
std::vector<double> quantized(const std::vector<float>& x) {
  std::vector<double> result(x.size());
  for (size_t block = 0; block < x.size(); block += 32) {
    float max = 0;
    for (size_t i = block; i < block + 32; ++i) max = std::max(max, std::fabs(x[i]));
    for (size_t i = block; i < block + 32 && max > 0; ++i) {
      result[i] = std::nearbyint(x[i] * (127.0f / max)) * static_cast<double>(max / 127.0f);
    }
  }
  return result;
}

struct Weights {
  std::vector<std::vector<std::byte>> bytes;
  std::vector<Part> parts;
  std::vector<float> values;  // decoded, [rows][columns]
  int rows = 0, columns = 0;
  bool quantized = false;  // some meet activations as int8
};

Weights make_weights(const std::vector<std::pair<const Format*, int>>& formats_and_rows,
                     int columns, std::mt19937& rng) {
  Weights w;
  w.columns = columns;
  for (const auto& [format, rows] : formats_and_rows) {
    w.bytes.push_back(random_weights(*format, rows, columns, rng));
    std::vector<float> values(static_cast<size_t>(rows) * columns);
    format->decode(w.bytes.back().data(), values);
    w.values.insert(w.values.end(), values.begin(), values.end());
    w.rows += rows;
    w.quantized |= !meets_floats(*format);
  }
  for (size_t i = 0; i < w.bytes.size(); ++i) {
    w.parts.push_back({formats_and_rows[i].first, w.bytes[i], formats_and_rows[i].second});
  }
  return w;
}

std::vector<float> run_linear(ThreadPool& pool, const Matrix& matrix, std::vector<float> x,
                              int rows, std::span<const float> bias = {}) {
  LinearScratch scratch;
  std::vector<float> out(static_cast<size_t>(rows) * matrix.rows,
                         std::numeric_limits<float>::quiet_NaN());
  linear(pool, scratch, matrix, {x.data(), rows, matrix.columns, matrix.columns}, bias,
         {out.data(), rows, matrix.rows, matrix.rows});
  return out;
}

std::vector<float> rows_of(const std::vector<float>& x, int first, int count, int columns) {
  return {x.begin() + static_cast<ptrdiff_t>(first) * columns,
          x.begin() + static_cast<ptrdiff_t>(first + count) * columns};
}

// Equality of bits, with a message of one line.
void expect_same(const std::vector<float>& a, const std::vector<float>& b,
                 const std::string& what) {
  ASSERT_EQ(a.size(), b.size()) << what;
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(std::bit_cast<uint32_t>(a[i]), std::bit_cast<uint32_t>(b[i]))
        << what << ": element " << i << ", " << a[i] << " and " << b[i];
  }
}

// y must be W x for the activations that the kernel sees (only f32 rounding between), and W x for
// those it was given, within what rounding them to int8 can change.
void expect_product(const Weights& w, const std::vector<float>& x, int rows,
                    const std::vector<float>& y, const std::string& what) {
  const std::vector<double> seen =
      w.quantized ? quantized(x) : std::vector<double>(x.begin(), x.end());
  for (int r = 0; r < rows; ++r) {
    for (int o = 0; o < w.rows; ++o) {
      double exact = 0, ideal = 0, magnitude = 0, rounding = 0;
      for (int c = 0; c < w.columns; ++c) {
        const double weight = w.values[static_cast<size_t>(o) * w.columns + c];
        const size_t i = static_cast<size_t>(r) * w.columns + c;
        exact += weight * seen[i];
        ideal += weight * x[i];
        magnitude += std::fabs(weight * seen[i]);
        rounding += std::fabs(weight * (seen[i] - x[i]));
      }
      const double result = y[static_cast<size_t>(r) * w.rows + o];
      ASSERT_NEAR(result, exact, 1e-5 * magnitude + 1e-30)
          << what << ": row " << r << ", output " << o;
      ASSERT_NEAR(result, ideal, rounding + 1e-5 * magnitude + 1e-30)
          << what << ": row " << r << ", output " << o;
    }
  }
}

std::unique_ptr<Matrix> load_matrix(ThreadPool& pool, std::span<const Backend::WeightPart> parts,
                                    int columns) {
  WeightArena arena;
  return cpu::load_matrix(pool, arena, parts, columns);
}

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
    std::vector<float> both = run_linear(pool, *matrix, x, rows);
    std::vector<float> expected(static_cast<size_t>(rows) * half), result(expected.size());
    for (const Activation activation : {Activation::kSilu, Activation::kGelu}) {
      gated(activation, {both.data(), rows, half, 2 * half},
            {both.data() + half, rows, half, 2 * half}, {expected.data(), rows, half, half});
      LinearScratch scratch;
      linear_gated(pool, scratch, *matrix, {const_cast<float*>(x.data()), rows, columns, columns},
                   activation, {result.data(), rows, half, half});
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
  EXPECT_THROW(linear_gated(pool, scratch, *matrix, {x.data(), 1, 256, 256}, Activation::kSilu,
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

// --- columns in an order of their own

std::vector<uint32_t> random_order(int columns, std::mt19937& rng) {
  std::vector<uint32_t> order(static_cast<size_t>(columns));
  std::iota(order.begin(), order.end(), 0u);
  std::ranges::shuffle(order, rng);
  return order;
}

std::vector<float> gathered(const std::vector<float>& x, std::span<const uint32_t> order) {
  std::vector<float> result;
  for (size_t row = 0; row < x.size(); row += order.size()) {
    for (const uint32_t column : order) result.push_back(x[row + column]);
  }
  return result;
}

// Parts with an order, with another one, with none, of every kind of kernel: each is what it is
// with activations gathered beforehand, bit for bit.
TEST(LinearOrder, PartsMeetTheirInputsInTheirOwnOrders) {
  std::mt19937 rng(10);
  constexpr int kColumns = 512;
  const Format& grouped = grouped_format(kGroupedKinds[1]);
  const Format& fp8 = grouped_format({.codes = kE4M3, .f32_scales = true, .group = 128});
  Weights w = make_weights(
      {{&grouped, 37}, {&kQ4_K, 5}, {&grouped, 64}, {&kF16, 3}, {&fp8, 18}, {&grouped, 9}},
      kColumns, rng);
  const auto first = random_order(kColumns, rng), second = random_order(kColumns, rng);
  const std::span<const uint32_t> orders[] = {first, {}, second, second, first, first};
  for (size_t i = 0; i < w.parts.size(); ++i) w.parts[i].order = orders[i];
  for (int threads = 1; threads <= 3; ++threads) {
    ThreadPool pool(threads);
    const auto matrix = load_matrix(pool, w.parts, kColumns);
    for (const int rows : {1, 4, 21, 70}) {
      const std::vector<float> x = random_activations(rows, kColumns, rng);
      const std::vector<float> y = run_linear(pool, *matrix, x, rows);
      int output = 0;
      for (const Part& part : w.parts) {
        Part plain = part;
        plain.order = {};
        const auto alone = load_matrix(pool, {&plain, 1}, kColumns);
        const std::vector<float> piece =
            run_linear(pool, *alone, part.order.empty() ? x : gathered(x, part.order), rows);
        for (int r = 0; r < rows; ++r) {
          const auto from = y.begin() + r * w.rows + output;
          expect_same({from, from + part.rows}, rows_of(piece, r, 1, part.rows),
                      fmt::format("{} rows, output {}", rows, output));
        }
        output += part.rows;
      }
    }
  }
}

// The order is that of restore_order: weights that were put where they belong give the product.
TEST(LinearOrder, IsTheProductOfTheRestoredWeights) {
  std::mt19937 rng(11);
  ThreadPool pool(2);
  constexpr int kColumns = 256, kRows = 5;
  Weights w = make_weights({{&kF32, 40}}, kColumns, rng);
  const auto order = random_order(kColumns, rng);
  w.parts[0].order = order;
  restore_order(order, w.values);
  const std::vector<float> x = random_activations(kRows, kColumns, rng);
  const auto matrix = load_matrix(pool, w.parts, kColumns);
  expect_product(w, x, kRows, run_linear(pool, *matrix, x, kRows), "restored");
}

// Where all activations have one scale, an order of both weights and inputs changes no int8 code:
// the dots of blocks differ, but the sums are of integers and exact, so they are the same bits.
TEST(LinearOrder, ChangesNothingWhereScalesCoincide) {
  std::mt19937 rng(12);
  ThreadPool pool(2);
  constexpr int kColumns = 256, kRows = 6, kOutputs = 33;
  const GroupedKind kind = {.bits = 4, .zero_point = 8, .group = 256};
  std::vector<float> x(kRows * kColumns);
  for (float& value : x) value = rng() % 2 == 0 ? 127.0f : -127.0f;
  const auto order = random_order(kColumns, rng);
  std::vector<std::byte> plain, ordered;
  for (int o = 0; o < kOutputs; ++o) {
    std::vector<uint8_t> codes(kColumns), permuted(kColumns);
    for (uint8_t& code : codes) code = rng() % 16;
    for (size_t c = 0; c < permuted.size(); ++c) permuted[c] = codes[order[c]];
    std::vector<std::byte> block(kind.block_bytes());
    write_grouped_block(kind, 0.25f, 0, codes, block.data());
    plain.insert(plain.end(), block.begin(), block.end());
    write_grouped_block(kind, 0.25f, 0, permuted, block.data());
    ordered.insert(ordered.end(), block.begin(), block.end());
  }
  const Part as_is = {&grouped_format(kind), plain, kOutputs};
  Part in_order = {&grouped_format(kind), ordered, kOutputs};
  in_order.order = order;
  const auto a = run_linear(pool, *load_matrix(pool, {&as_is, 1}, kColumns), x, kRows);
  const auto b = run_linear(pool, *load_matrix(pool, {&in_order, 1}, kColumns), x, kRows);
  expect_same(a, b, "ordered");
}

TEST(LinearOrder, IsSharedByGateAndUpOrNot) {
  std::mt19937 rng(13);
  ThreadPool pool(2);
  constexpr int kColumns = 256, kHalf = 40;
  Weights w = make_weights({{&kQ4_1, kHalf}, {&kQ4_1, kHalf}}, kColumns, rng);
  const auto first = random_order(kColumns, rng), second = random_order(kColumns, rng);
  for (const auto& up_order : {first, second}) {
    w.parts[0].order = first;
    w.parts[1].order = up_order;
    const auto matrix = load_matrix(pool, w.parts, kColumns);
    for (const int rows : {1, 7}) {
      std::vector<float> x = random_activations(rows, kColumns, rng);
      std::vector<float> both = run_linear(pool, *matrix, x, rows);
      std::vector<float> expected(static_cast<size_t>(rows) * kHalf), result(expected.size());
      gated(Activation::kSilu, {both.data(), rows, kHalf, 2 * kHalf},
            {both.data() + kHalf, rows, kHalf, 2 * kHalf}, {expected.data(), rows, kHalf, kHalf});
      LinearScratch scratch;
      linear_gated(pool, scratch, *matrix, {x.data(), rows, kColumns, kColumns}, Activation::kSilu,
                   {result.data(), rows, kHalf, kHalf});
      expect_same(result, expected, fmt::format("{} rows", rows));
    }
  }
}

TEST(LinearOrder, OfOtherColumnsIsAnError) {
  std::mt19937 rng(14);
  ThreadPool pool(1);
  Weights w = make_weights({{&kQ8_0, 4}}, 64, rng);
  auto order = random_order(64, rng);
  w.parts[0].order = std::span(order).first(63);
  EXPECT_THROW(load_matrix(pool, w.parts, 64), Error);
  w.parts[0].order = order;
  EXPECT_NO_THROW(load_matrix(pool, w.parts, 64));
  order[3] = order[4];
  EXPECT_THROW(load_matrix(pool, w.parts, 64), Error);
  order[3] = 64;
  EXPECT_THROW(load_matrix(pool, w.parts, 64), Error);
}

// --- floats of 8 bits, and what is decoded

TEST(LinearFloats, DecodedOnesHaveTheBitsOfTheirF32Matrix) {
  std::mt19937 rng(15);
  ThreadPool pool(2);
  constexpr int kColumns = 512, kOutputs = 70;
  for (const GroupedKind& kind : kGroupedKinds) {
    const Format& format = grouped_format(kind);
    if (!meets_floats(format) || kind.codes != kInteger) continue;
    const Weights w = make_weights({{&format, kOutputs}}, kColumns, rng);
    const auto matrix = load_matrix(pool, w.parts, kColumns);
    const Part decoded = {&kF32, std::as_bytes(std::span(w.values)), kOutputs};
    const auto floats = load_matrix(pool, {&decoded, 1}, kColumns);
    for (const char* target : available_targets()) {
      cap_target(target);
      for (const int rows : {1, 3, 40}) {
        const std::vector<float> x = random_activations(rows, kColumns, rng);
        expect_same(run_linear(pool, *matrix, x, rows), run_linear(pool, *floats, x, rows),
                    fmt::format("{}, {} rows, {}", label(format), rows, target));
      }
      cap_target("");
    }
  }
}

TEST(LinearFloats, NanAndInfinitiesOfTheWeightsComeThrough) {
  std::mt19937 rng(16);
  ThreadPool pool(1);
  const std::pair<GroupedCodes, uint8_t> cases[] = {
      {kE4M3, uint8_t{0x7f}}, {kE4M3, uint8_t{0xff}}, {kE5M2, uint8_t{0x7e}}};
  for (const auto& [codes, nan] : cases) {
    const GroupedKind kind = {.codes = codes, .f32_scales = true, .group = 32};
    std::vector<uint8_t> row(32, uint8_t{0x38});
    std::vector<std::byte> bytes(2 * kind.block_bytes());
    write_grouped_block(kind, 1.0f, 0, row, bytes.data());
    row[7] = nan;
    write_grouped_block(kind, 1.0f, 0, row, bytes.data() + kind.block_bytes());
    const Part part = {&grouped_format(kind), bytes, 2};
    const auto matrix = load_matrix(pool, {&part, 1}, 32);
    const auto y = run_linear(pool, *matrix, random_activations(1, 32, rng), 1);
    EXPECT_TRUE(std::isfinite(y[0]));
    EXPECT_TRUE(std::isnan(y[1]));
  }
}

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
