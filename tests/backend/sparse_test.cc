// Sparse codes: a panel that stores what is not zero gives the bits of one that stores everything,
// on every target, for any number of rows; and takes the memory that it should.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "backend/cpu/quantized.h"
#include "backend/linear_support.h"
#include "base/simd/target.h"

namespace tessera::cpu {
namespace {

// Which weights of a row are zero.
struct Pattern {
  const char* name;
  bool (*is_zero)(int row, int column, std::mt19937& rng);
  int kept;  // of 8 blocks, in rows of a whole number of 256 columns
};

constexpr Pattern kPatterns[] = {
    {"2 of 4", [](int row, int column, std::mt19937&) { return (row + column) % 4 < 2; }, 4},
    {"6 of 8", [](int row, int column, std::mt19937&) { return (row + column) % 8 < 6; }, 2},
    {"3 of 4 blocks",
     [](int row, int column, std::mt19937&) { return (row + column / 32) % 4 != 0; }, 2},
    {"at random", [](int, int, std::mt19937& rng) { return rng() % 10 < 6; }, 4},
    {"all", [](int, int, std::mt19937&) { return true; }, 1},
};

const Format* const kSparseFormats[] = {
    &kQ4_0, &kQ5_0, &kQ8_0, &kTQ2_0, &grouped_format({.bits = 4, .zero_point = 8, .group = 128})};

std::vector<std::byte> pruned_weights(const Format& format, int rows, int columns,
                                      const Pattern& pattern, std::mt19937& rng) {
  std::uniform_real_distribution<float> uniform(0.5f, 1.0f);  // none is rounded to zero
  std::vector<float> values;
  for (int r = 0; r < rows; ++r) {
    for (int c = 0; c < columns; ++c) {
      const float value = rng() % 2 == 0 ? uniform(rng) : -uniform(rng);
      values.push_back(pattern.is_zero(r, c, rng) ? 0.0f : value);
    }
  }
  std::vector<std::byte> bytes(format.row_bytes(static_cast<uint64_t>(columns)) *
                               static_cast<size_t>(rows));
  if (const GroupedKind* kind = grouped_kind(format)) {
    std::byte* block = bytes.data();
    for (size_t at = 0; at < values.size(); at += static_cast<size_t>(kind->group)) {
      std::vector<uint8_t> codes;
      for (int i = 0; i < kind->group; ++i) {
        const bool is_zero = values[at + static_cast<size_t>(i)] == 0;
        codes.push_back(static_cast<uint8_t>(is_zero ? kind->zero_point : rng() % 8));
      }
      write_grouped_block(*kind, 0.5f, 0, codes, block);
      block += format.block_bytes;
    }
    return bytes;
  }
  const size_t row_bytes = bytes.size() / static_cast<size_t>(rows);
  for (int r = 0; r < rows; ++r) {
    const auto row = std::span(values).subspan(static_cast<size_t>(r) * columns, columns);
    format.encode(row, bytes.data() + static_cast<size_t>(r) * row_bytes, {});
  }
  return bytes;
}

// Activations as a panel of this layout meets them.
class Rows {
 public:
  Rows(const Layout& layout, std::vector<float> x, int rows, int columns) : x_(std::move(x)) {
    quantized_.rows = rows;
    quantized_.columns = columns;
    const size_t values = static_cast<size_t>(quantized_.padded_rows()) *
                          static_cast<size_t>(padded_blocks(columns)) * kBlock;
    codes_.resize(values);
    scales_.resize(values / kBlock);
    sums_.resize(values / 16);
    terms_.resize(values / static_cast<size_t>(layout.scale_columns));
    quantized_.codes = codes_.data();
    quantized_.scales = scales_.data();
    quantized_.sums = sums_.data();
    for (int tile = 0; tile < quantized_.tiles(); ++tile) {
      quantize_tile({x_.data(), rows, columns, columns}, tile, quantized_);
      make_terms(layout, quantized_, tile, terms_.data());
    }
  }

  std::vector<float> times(const Layout& layout, const AlignedBuffer& panel) const {
    const size_t values = static_cast<size_t>(quantized_.padded_rows()) * kPanelRows;
    AlignedBuffer sums(values * sizeof(float));
    multiply_panel(layout, panel.data(), quantized_, terms_.data(), 0, quantized_.tiles(),
                   reinterpret_cast<float(*)[kPanelRows]>(sums.data()));
    const auto all = sums.as<float>().first(values);
    return {all.begin(), all.end()};
  }

 private:
  std::vector<float> x_;
  QuantizedRows quantized_;
  std::vector<int8_t> codes_;
  std::vector<float> scales_;
  std::vector<int32_t> sums_, terms_;
};

class SparseTest : public ::testing::TestWithParam<const Format*> {};

TEST_P(SparseTest, APanelGivesTheBitsOfTheDenseOneOnEveryTarget) {
  const Format& format = *GetParam();
  std::mt19937 rng(1);
  for (const Pattern& pattern : kPatterns) {
    for (const int columns : {32, 96, 512, 640}) {
      if (columns % static_cast<int>(format.block_elements) != 0) continue;
      const int outputs = columns == 96 ? 5 : kPanelRows;
      const auto bytes = pruned_weights(format, outputs, columns, pattern, rng);
      const size_t row_bytes = bytes.size() / static_cast<size_t>(outputs);
      const Layout dense = *find_layout(format);
      ASSERT_TRUE(dense.may_be_sparse());
      Layout sparse = dense;
      sparse.kept = kept_codes(dense, bytes.data(), row_bytes, outputs, columns);
      ASSERT_LE(sparse.kept, columns < 256 ? 7 : 5) << pattern.name;
      if (columns == 512 && pattern.is_zero != kPatterns[3].is_zero) {
        EXPECT_EQ(sparse.kept, pattern.kept) << pattern.name;
      }
      AlignedBuffer dense_panel(dense.panel_bytes(columns)),
          sparse_panel(sparse.panel_bytes(columns));
      repack_panel(dense, bytes.data(), row_bytes, outputs, columns, dense_panel.data());
      repack_panel(sparse, bytes.data(), row_bytes, outputs, columns, sparse_panel.data());
      for (const char* target : available_targets()) {
        cap_target(target);
        for (const int rows : {1, 2, 3, 4, 5, 8, 9, 21}) {
          const Rows x(dense, random_activations(rows, columns, rng), rows, columns);
          std::vector<float> expected = x.times(dense, dense_panel),
                             got = x.times(sparse, sparse_panel);
          for (size_t i = 0; i < got.size(); ++i) {  // rows that there are
            if (static_cast<int>(i % kPanelRows) >= outputs) expected[i] = got[i] = 0;
          }
          expect_same(
              got, expected,
              fmt::format("{}, {} columns, {} rows, {}", pattern.name, columns, rows, target));
        }
        cap_target("");
      }
    }
  }
}

TEST_P(SparseTest, AMatrixOfZerosByHalfIsStoredByHalfWhereThatIsFaster) {
  const Format& format = *GetParam();
  if (!expands_fast()) GTEST_SKIP() << "no machine for it";
  std::mt19937 rng(2);
  ThreadPool pool(2);
  constexpr int kRows = 100, kColumns = 1024;
  auto bytes = pruned_weights(format, kRows, kColumns, kPatterns[0], rng);
  const Part part = {&format, bytes, kRows};
  const auto matrix = load_matrix(pool, {&part, 1}, kColumns);
  Layout layout = *find_layout(format);
  const size_t dense = 4 * layout.panel_bytes(kColumns);
  layout.kept = 4;
  const size_t sparse = 4 * layout.panel_bytes(kColumns);
  EXPECT_EQ(matrix->bytes, 100 * sparse < 77 * dense ? sparse : dense);

  // A row without zeros among them, and all are stored.
  const auto full = random_weights(format, 1, kColumns, rng);
  std::copy(full.begin(), full.end(), bytes.end() - static_cast<ptrdiff_t>(full.size()));
  for (int r = kRows - 32; r < kRows - 1; ++r)
    std::copy(full.begin(), full.end(), bytes.begin() + r * static_cast<ptrdiff_t>(full.size()));
  const auto mixed = load_matrix(pool, {&part, 1}, kColumns);
  EXPECT_EQ(mixed->bytes, dense);

  // ... with the same results.
  const std::vector<float> x = random_activations(6, kColumns, rng);
  const auto y = run_linear(pool, *matrix, x, 6), z = run_linear(pool, *mixed, x, 6);
  for (int r = 0; r < 6; ++r) {
    const auto a = y.begin() + r * kRows, b = z.begin() + r * kRows;
    expect_same({a, a + 64}, {b, b + 64}, "beside other rows");
  }
}

// LLM.int8() reads single columns.
TEST_P(SparseTest, OutliersMeetTheSameColumns) {
  const Format& format = *GetParam();
  std::mt19937 rng(3);
  ThreadPool pool(1);
  constexpr int kColumns = 512;
  const auto bytes = pruned_weights(format, 64, kColumns, kPatterns[0], rng);
  const Part part = {&format, bytes, 64};
  const auto matrix = load_matrix(pool, {&part, 1}, kColumns);
  matrix->outlier_threshold = 6;
  std::vector<float> x = random_activations(2, kColumns, rng), values(64 * kColumns);
  for (float& value : x) value = std::clamp(value, -5.0f, 5.0f);
  for (const size_t outlier : {3, 260, 300}) x[outlier] = 1000;
  format.decode(bytes.data(), values);
  const std::vector<float> y = run_linear(pool, *matrix, x, 2);
  for (size_t o = 0; o < 64; ++o) {
    double exact = 0;
    for (size_t c = 0; c < kColumns; ++c)
      exact += static_cast<double>(values[o * kColumns + c]) * x[c];
    EXPECT_NEAR(y[o], exact, 2) << o;  // of thousands
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, SparseTest, ::testing::ValuesIn(kSparseFormats),
                         [](const auto& test) { return label(*test.param); });

TEST(Sparse, IsNothingForFormatsWithMinimumsOrTables) {
  for (const Format* format : {&kQ4_1, &kQ4_K, &kQ2_K, &kIQ4_NL, &kMXFP4})
    EXPECT_FALSE(find_layout(*format)->may_be_sparse()) << format->name;
}

}  // namespace
}  // namespace tessera::cpu
