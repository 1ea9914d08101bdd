// Weights of every format, activations, and what a product of the two must be: for the tests of
// linear(), against a double-precision oracle over the values that formats/ decodes.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "backend/cpu/linear.h"
#include "base/half.h"
#include "formats/grouped.h"

namespace tessera::cpu {

using Part = Backend::WeightPart;

inline const Format* const kFileFormats[] = {
    &kF32,   &kF16,   &kBF16,  &kQ4_0,    &kQ4_1,   &kQ5_0,  &kQ5_1,    &kQ8_0,  &kQ2_K, &kQ3_K,
    &kQ4_K,  &kQ5_K,  &kQ6_K,  &kIQ4_NL,  &kIQ4_XS, &kMXFP4, &kTQ1_0,   &kTQ2_0, &kQ1_0, &kQ2_0,
    &kNVFP4, &kIQ1_S, &kIQ1_M, &kIQ2_XXS, &kIQ2_XS, &kIQ2_S, &kIQ3_XXS, &kIQ3_S};

using enum GroupedCodes;
using enum GroupedOffset;
inline const GroupedKind kGroupedKinds[] = {
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

inline std::vector<const Format*> formats() {
  std::vector<const Format*> all(std::begin(kFileFormats), std::end(kFileFormats));
  for (const GroupedKind& kind : kGroupedKinds) all.push_back(&grouped_format(kind));
  return all;
}

// nullptr if it is no grouped format.
inline const GroupedKind* grouped_kind(const Format& format) {
  const auto* kind = std::ranges::find_if(
      kGroupedKinds, [&](const GroupedKind& known) { return &grouped_format(known) == &format; });
  return kind == std::end(kGroupedKinds) ? nullptr : kind;
}

inline bool is_float(const Format& format) {
  return format.block_elements == 1;
}

// Its weights meet activations as they are, not as int8.
inline bool meets_floats(const Format& format) {
  return !find_layout(format).has_value();
}

inline std::string label(const Format& format) {
  std::string name(format.name);
  std::ranges::replace(name, '/', '_');
  if (const GroupedKind* kind = grouped_kind(format)) {
    name += kind->f32_scales ? "_f32" : "_f16";
    name += kind->offset == kZero ? "_zero" : kind->offset == kMin ? "_min" : "";
  }
  return name;
}

// Where a block's f16 scales and mins lie.
inline std::vector<size_t> f16_fields(const Format& format) {
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

inline void store_f16(float value, std::byte* to) {
  const uint16_t bits = f32_to_f16(value);
  std::memcpy(to, &bits, sizeof(bits));
}

inline void write_random_block(const GroupedKind& kind, std::mt19937& rng, std::byte* block) {
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
inline std::vector<std::byte> random_weights(const Format& format, int rows, int columns,
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

inline std::vector<float> random_activations(int rows, int columns, std::mt19937& rng) {
  std::normal_distribution<float> normal;
  std::vector<float> x(static_cast<size_t>(rows) * columns);
  for (float& value : x) value = normal(rng) * std::exp2(static_cast<float>(rng() % 9) - 4.0f);
  return x;
}

// Activations as quantized weights meet them: int8 codes times a scale, in blocks of 32
// (backend.h).
inline std::vector<double> quantized(const std::vector<float>& x) {
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

inline Weights make_weights(const std::vector<std::pair<const Format*, int>>& formats_and_rows,
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

inline std::vector<float> run_linear(ThreadPool& pool, const Matrix& matrix, std::vector<float> x,
                                     int rows, std::span<const float> bias = {}) {
  LinearScratch scratch;
  std::vector<float> out(static_cast<size_t>(rows) * matrix.rows,
                         std::numeric_limits<float>::quiet_NaN());
  linear(pool, scratch, matrix, {x.data(), rows, matrix.columns, matrix.columns}, bias,
         {out.data(), rows, matrix.rows, matrix.rows});
  return out;
}

inline std::vector<float> rows_of(const std::vector<float>& x, int first, int count, int columns) {
  return {x.begin() + static_cast<ptrdiff_t>(first) * columns,
          x.begin() + static_cast<ptrdiff_t>(first + count) * columns};
}

// Equality of bits, with a message of one line.
inline void expect_same(const std::vector<float>& a, const std::vector<float>& b,
                        const std::string& what) {
  ASSERT_EQ(a.size(), b.size()) << what;
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(std::bit_cast<uint32_t>(a[i]), std::bit_cast<uint32_t>(b[i]))
        << what << ": element " << i << ", " << a[i] << " and " << b[i];
  }
}

// y must be W x for the activations that the kernel sees (only f32 rounding between), and W x for
// those it was given, within what rounding them to int8 can change.
inline void expect_product(const Weights& w, const std::vector<float>& x, int rows,
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

inline std::unique_ptr<Matrix> load_matrix(ThreadPool& pool,
                                           std::span<const Backend::WeightPart> parts,
                                           int columns) {
  WeightArena arena;
  return cpu::load_matrix(pool, arena, parts, columns);
}

}  // namespace tessera::cpu
