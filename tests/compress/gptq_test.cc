// GPTQ against a plain reimplementation in double, on every format of blocks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string>
#include <utility>

#include "compress/methods/gptq.h"
#include "compress/methods/method.h"
#include "compress/plain_gptq.h"
#include "formats/grouped.h"
#include "formats/shared_scales.h"
#include "support/error_of.h"

namespace tessera {
namespace {

using testing::HasSubstr;
class Gptq : public testing::TestWithParam<const Format*> {
 protected:
  InputMoments observe(ThreadPool& pool) const {
    InputMoments moments(kColumns, InputMoments::Kind::kHessian);
    moments.add(HostRows(x_.data(), kSamples, kColumns, kColumns), pool);
    return moments;
  }
  Floats decoded(const Format& format, const std::vector<std::byte>& bytes) const {
    Floats values(weights_.size());
    format.decode(bytes.data(), values);
    return values;
  }
  std::vector<std::byte> encode(const Method& method, const Format& format, int threads,
                                bool in_order = false) const {
    ThreadPool pool(threads);
    InputMoments moments = observe(pool);
    const auto inputs =
        method.prepare(moments, {.damping = 0.01f, .group_aware_order = in_order}, pool);
    const auto encoder = inputs->encoder(format, pool);
    std::vector<std::byte> bytes = before_codes(format);
    encoder->encode(weights_, kRows, bytes.data());
    return bytes;
  }
  // Room for the weights; scales that they share are there.
  std::vector<std::byte> before_codes(const Format& format) const {
    std::vector<std::byte> bytes(format.row_bytes(kColumns) * kRows);
    write_shared_scales(format, weights_, kColumns, bytes.data());
    return bytes;
  }
  double error(const Floats& values) const { return product_error(weights_, values, hessian_); }
  // As in the paper: the inverse of H + 1 %, its upper Cholesky factor, column by column; the
  // scales of a block are those that the format's encoder finds for its columns as they have
  // become.
  Floats plain_gptq(const Format& format) const;

  const Floats &x_ = example().x, &weights_ = example().weights;
  const Doubles& hessian_ = example().hessian;
};

Floats Gptq::plain_gptq(const Format& format) const {
  const size_t n = kColumns, size = format.block_elements;
  const Doubles& upper = example().upper;
  const QuantizedBlock& block = *format.quantized;
  const std::vector<std::byte> before = before_codes(format);
  Floats out(weights_.size());
  for (size_t r = 0; r < kRows; ++r) {
    Doubles w(weights_.begin() + static_cast<ptrdiff_t>(r * n),
              weights_.begin() + static_cast<ptrdiff_t>((r + 1) * n));
    for (size_t first = 0; first < n; first += size) {
      const Floats now(w.begin() + static_cast<ptrdiff_t>(first),
                       w.begin() + static_cast<ptrdiff_t>(first + size));
      const auto at = before.begin() + static_cast<ptrdiff_t>(r * format.row_bytes(n) +
                                                              first / size * format.block_bytes);
      std::vector<std::byte> bytes(at, at + format.block_bytes);
      format.encode(now, bytes.data(), {});
      BlockParts parts;
      block.split(reinterpret_cast<const uint8_t*>(bytes.data()), parts);
      for (size_t k = 0; k < size; ++k) {
        const GroupScale by =
            group_scale(block, parts, static_cast<int>(k / static_cast<size_t>(block.group)));
        double best = INFINITY, value = 0;
        for (int code = block.lowest_code; code <= block.last_code(); ++code) {
          const double level = block.levels != nullptr ? block.levels[code]
                               : block.values != nullptr
                                   ? static_cast<double>(block.values[code])
                                   : code - (block.has_zero ? parts.zero : block.zero_point);
          const double v = static_cast<double>(by.scale) * level + static_cast<double>(by.min);
          if (std::abs(v - w[first + k]) < best) best = std::abs(v - w[first + k]), value = v;
        }
        out[r * n + first + k] = static_cast<float>(value);
        const double error = (w[first + k] - value) / upper[(first + k) * n + first + k];
        for (size_t j = first + k; j < n; ++j) w[j] -= error * upper[(first + k) * n + j];
      }
    }
  }
  return out;
}

TEST_P(Gptq, LosesNoMoreThanAPlainReimplementation) {
  const Format& format = *GetParam();
  const double nearest = error(decoded(format, encode(kRtn, format, 2)));
  const double plain = error(plain_gptq(format));
  const double here = error(decoded(format, encode(kGptq, format, 2)));
  // Where the scales of a row are settled before its codes are, codes alone can make good.
  EXPECT_LE(here, (shares_scales(format) ? 0.8 : 0.75) * plain)
      << "rounding to nearest: " << nearest;
  EXPECT_LT(here, 0.3 * nearest);
  RecordProperty("ratio_to_plain", std::to_string(here / plain));
  RecordProperty("ratio_to_nearest", std::to_string(here / nearest));
}

TEST_P(Gptq, LosesNoMoreInAnotherOrder) {
  const Format& format = *GetParam();
  const double here = error(decoded(format, encode(kGptq, format, 2, true)));
  EXPECT_LE(here, (shares_scales(format) ? 0.8 : 0.75) * error(plain_gptq(format)));
}

TEST_P(Gptq, ThreadsDoNotMatter) {
  const Format& format = *GetParam();
  EXPECT_EQ(encode(kGptq, format, 1), encode(kGptq, format, 3));
}

std::string name_of(const testing::TestParamInfo<const Format*>& instance) {
  std::string name(instance.param->name);
  std::ranges::replace(name, '/', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Formats, Gptq,
                         testing::Values(&kQ4_0, &kQ4_1, &kQ5_0, &kQ5_1, &kQ8_0, &kQ2_K, &kQ3_K,
                                         &kQ4_K, &kQ5_K, &kQ6_K, &kIQ4_NL, &kIQ4_XS, &kMXFP4,
                                         &kTQ2_0),
                         name_of);

// The grids of Hugging Face's folders, as files/huggingface/layouts/folder_formats.cc has them.
const Format* grid(const GroupedKind& kind) {
  return &grouped_format(kind);
}
constexpr GroupedKind kInt8Rows = {
    .bits = 8, .f32_scales = true, .zero_point = 128, .group = 256, .scope = ScaleScope::kRow};
INSTANTIATE_TEST_SUITE_P(
    Folders, Gptq,
    testing::Values(grid({.bits = 4, .zero_point = 8, .group = 128}),
                    grid({.bits = 4, .offset = GroupedOffset::kZero, .group = 128}),
                    grid({.bits = 2, .offset = GroupedOffset::kZero, .group = 32}),
                    grid({.bits = 3, .zero_point = 4, .group = 128}),
                    grid({.bits = 8, .zero_point = 128, .group = 128}), grid(kInt8Rows),
                    grid({.codes = GroupedCodes::kNF4, .f32_scales = true, .group = 64}),
                    grid({.codes = GroupedCodes::kFP4,
                          .f32_scales = true,
                          .group = 64,
                          .scope = ScaleScope::kNested}),
                    grid({.codes = GroupedCodes::kE2M1,
                          .f32_scales = true,
                          .group = 16,
                          .scope = ScaleScope::kE4M3}),
                    grid({.codes = GroupedCodes::kE4M3,
                          .f32_scales = true,
                          .group = 256,
                          .scope = ScaleScope::kRow})),
    name_of);

using GptqOnAGrid = Gptq;

// All but the codes of a block.
std::vector<float> scales_in(const Format& format, const std::byte* block) {
  BlockParts parts{};
  format.quantized->split(reinterpret_cast<const uint8_t*>(block), parts);
  std::vector<float> scales = {parts.scale, parts.min, static_cast<float>(parts.d),
                               static_cast<float>(parts.m), static_cast<float>(parts.zero)};
  scales.insert(scales.end(), std::begin(parts.scales), std::end(parts.scales));
  scales.insert(scales.end(), std::begin(parts.mins), std::end(parts.mins));
  return scales;
}

TEST_F(GptqOnAGrid, MovesNothingButCodes) {
  const Format* zeros = grid({.bits = 4, .offset = GroupedOffset::kZero, .group = 128});
  for (const auto& [format, other] : {std::pair<const Format*, const Method*>{&kQ4_0, &kAbsmax},
                                      {&kQ4_1, &kZeroPoint},
                                      {&kQ4_1, &kHqq},
                                      {&kQ4_K, &kHqq},
                                      {zeros, &kHqq},
                                      {zeros, &kZeroPoint}}) {
    ThreadPool pool(2);
    InputMoments moments = observe(pool);
    const auto inputs = kGptq.prepare(moments, {.damping = 0.01f, .grid = other}, pool);
    std::vector<std::byte> here = before_codes(*format), there = here;
    inputs->encoder(*format, pool)->encode(weights_, kRows, here.data());
    other->without_text(*format, {}, {})->encode(weights_, kRows, there.data());
    // Of a row's first block, which makes good for nothing.
    for (size_t r = 0; r < kRows; ++r) {
      const size_t at = r * format->row_bytes(kColumns);
      EXPECT_EQ(scales_in(*format, here.data() + at), scales_in(*format, there.data() + at))
          << format->name << ", " << other->name;
    }
    EXPECT_LT(error(decoded(*format, here)), 0.5 * error(decoded(*format, there)))
        << format->name << ", " << other->name;
  }
}

TEST(GroupAwareOrder, KeepsBlocksOfEverySizeTogether) {
  Doubles diagonal(512);
  for (size_t c = 0; c < diagonal.size(); ++c) diagonal[c] = static_cast<double>(c * 131 % 509);
  diagonal[300] = 1000;
  const auto order = group_aware_order(diagonal);
  ASSERT_EQ(order.size(), diagonal.size());
  EXPECT_EQ(order[0], 300U);
  for (const size_t block : {16, 32, 64, 128, 256, 512}) {
    double before = INFINITY;
    for (size_t first = 0; first < order.size(); first += block) {
      double largest = 0;
      for (size_t k = first; k < first + block; ++k) {
        EXPECT_EQ(order[k] / block, order[first] / block);
        largest = std::max(largest, diagonal[order[k]]);
      }
      EXPECT_EQ(largest, diagonal[order[first]]);
      if (first % (2 * block) != 0 || block == 256) {
        EXPECT_LE(largest, before);
      }
      before = largest;
    }
  }
  auto sorted = order;
  std::ranges::sort(sorted);
  for (size_t k = 0; k < sorted.size(); ++k) EXPECT_EQ(sorted[k], k);
}

using GptqErrors = Gptq;

TEST_F(GptqErrors, AreOneLine) {
  ThreadPool pool(2);
  InputMoments nothing(kColumns, InputMoments::Kind::kHessian);
  EXPECT_THAT(error_of([&] { kGptq.prepare(nothing, {}, pool); }),
              HasSubstr("all activations are zero"));
  const Floats bad(kColumns, std::nanf(""));
  nothing.add(HostRows(bad.data(), 1, kColumns, kColumns), pool);
  EXPECT_THAT(error_of([&] { kGptq.prepare(nothing, {}, pool); }), HasSubstr("not finite"));
  InputMoments moments = observe(pool);
  const auto inputs = kGptq.prepare(moments, {.damping = 1e-9f}, pool);
  EXPECT_THAT(error_of([&] { inputs->encoder(kIQ2_XS, pool); }),
              HasSubstr("gptq cannot encode to IQ2_XS"));
  EXPECT_THAT(error_of([&] { require_method("magic"); }), HasSubstr("known are rtn, gptq"));
}

// One text that leaves most directions unseen, and a column that is always zero.
TEST_F(GptqErrors, ASingularHessianIsDamped) {
  ThreadPool pool(2);
  Floats few(3 * kColumns);
  for (size_t i = 0; i < few.size(); ++i) few[i] = i % kColumns == 100 ? 0 : x_[i];
  InputMoments moments(kColumns, InputMoments::Kind::kHessian);
  moments.add(HostRows(few.data(), 3, kColumns, kColumns), pool);
  const auto inputs = kGptq.prepare(moments, {.damping = 1e-9f}, pool);
  std::vector<std::byte> bytes(kQ4_K.row_bytes(kColumns) * kRows);
  inputs->encoder(kQ4_K, pool)->encode(weights_, kRows, bytes.data());
  double error = 0, size = 0;
  const Floats values = decoded(kQ4_K, bytes);
  for (size_t i = 0; i < values.size(); ++i) {
    error += std::pow(static_cast<double>(values[i]) - static_cast<double>(weights_[i]), 2);
    size += std::pow(static_cast<double>(weights_[i]), 2);
  }
  EXPECT_LT(std::sqrt(error / size), 0.2);
}

}  // namespace
}  // namespace tessera
