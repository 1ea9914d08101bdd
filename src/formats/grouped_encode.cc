#include "formats/grouped_encode.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <utility>

#include "base/half.h"
#include "formats/block_codec.h"
#include "formats/float_codebook.h"
#include "formats/scale_search.h"

namespace tessera {
namespace {

constexpr GroupedKind integers(int bits, int group, GroupedOffset offset) {
  return {.bits = bits,
          .offset = offset,
          .zero_point = offset == GroupedOffset::kNone ? 1 << (bits - 1) : 0,
          .group = group};
}

constexpr GroupedKind shared(GroupedCodes codes, int bits, int zero, int group, ScaleScope scope) {
  return {.codes = codes,
          .bits = bits,
          .f32_scales = true,
          .zero_point = zero,
          .group = group,
          .scope = scope};
}

// All that files/huggingface/layouts/ writes.
constexpr auto kEncodable = [] {
  using enum GroupedCodes;
  constexpr size_t kIntegers = 4 * 3 * 3, kFloats = 2 * 2, kShared = 6 * 4, kPairs = 1;
  std::array<GroupedKind, kIntegers + kFloats + kShared + kPairs> kinds{};
  size_t n = 0;
  for (const int bits : {2, 3, 4, 8}) {
    for (const int group : {32, 64, 128}) {
      for (const auto offset : {GroupedOffset::kNone, GroupedOffset::kZero})
        kinds[n++] = integers(bits, group, offset);
      kinds[n++] = {
          .bits = bits, .f32_scales = true, .offset = GroupedOffset::kMin, .group = group};
    }
  }
  for (const auto codes : {kNF4, kFP4}) {
    kinds[n++] = {.codes = codes, .f32_scales = true, .group = 64};
    kinds[n++] = shared(codes, 4, 0, 64, ScaleScope::kNested);
  }
  for (const int group : {32, 64, 128, 256}) {
    for (const int bits : {2, 3, 4, 8})
      kinds[n++] = shared(kInteger, bits, 1 << (bits - 1), group, ScaleScope::kRow);
    kinds[n++] = shared(kE4M3, 4, 0, group, ScaleScope::kRow);
    kinds[n++] = shared(kInteger, 2, 1, group, ScaleScope::kMatrix);
  }
  kinds[n++] = shared(kE2M1, 4, 0, 16, ScaleScope::kE4M3);
  return kinds;
}();

// The largest element lands on the outermost level, or up to 3 levels beyond: groups are large.
constexpr Candidates kScales{-0.6f, 3.0f, 25};
// The ends of the range are moved inwards by so many levels; also by none.
constexpr Candidates kRanges{-0.3f, 1.8f, 8};

// x ~ scale * (code - zero)
struct ZeroFit {
  float scale = 0;
  int zero = 1;
};

// From the smallest to the largest element, zero included, or moved inwards a little at both ends.
template <int N>
ZeroFit search_zero(int bits, const float* x, const float* weight) {
  const auto top = static_cast<float>((1 << bits) - 1);
  const float lowest = std::min(0.0f, *std::min_element(x, x + N));
  const float highest = std::max(0.0f, *std::max_element(x, x + N));
  if (highest - lowest < kNegligible) return {};
  const auto moments_of = [&](ZeroFit fit) {
    const auto below = static_cast<float>(fit.zero);
    return moments<N>(IntegerLevels{-below, top - below}, x, weight, fit.scale, 0);
  };
  const auto spanning = [&](float from, float to) {
    const float scale = (to - from) / top;
    return ZeroFit{scale, static_cast<int>(std::clamp(std::nearbyint(-from / scale), 1.0f, top))};
  };
  ZeroFit best;
  float best_error = INFINITY;
  const auto consider = [&](ZeroFit fit) {
    const Moments m = moments_of(fit);
    const float step = m.qq > 0 ? m.rq / m.qq : 0;
    const float error = m.rr - step * m.rq;
    if (!(error < best_error) || !(fit.scale + step > 0)) return false;
    best_error = error;
    best = {fit.scale + step, fit.zero};
    return true;
  };
  const float unit = (highest - lowest) / top;
  for (int i = 0; i < kRanges.count; ++i) {
    for (int j = 0; j < kRanges.count; ++j) {
      const float from = lowest + kRanges.delta(i) * unit, to = highest - kRanges.delta(j) * unit;
      if (to > from) consider(spanning(from, to));
    }
  }
  for (int i = 0; i < 4 && consider(best); ++i) {
  }
  // As they are stored.
  ZeroFit ends = spanning(lowest, highest);
  ends.scale = round_scale_f16(ends.scale);
  best.scale = round_scale_f16(best.scale);
  return moments_of(ends).rr < moments_of(best).rr ? ends : best;
}

// x ~ scale * (code - zero), zero any number, both of which f16 holds (HQQ). The block has the
// minimum, -zero * scale, which f32 holds.
template <int N>
void encode_by_min(const GroupedKind& kind, const BlockInput<N>& in, std::byte* block) {
  const IntegerLevels levels{0, static_cast<float>((1 << kind.bits) - 1)};
  AffineF16 fit = search_affine_f16<N>(levels, in.x, in.weight, kRanges);
  if (fit.scale == 0) fit.scale = std::fabs(fit.offset);  // all are the minimum
  const float zero = fit.scale == 0 ? 0.0f : std::clamp(-fit.offset / fit.scale, -kF16Max, kF16Max);
  const float min = -f16_to_f32(f32_to_f16(zero)) * fit.scale;
  std::array<uint8_t, N> codes;
  Coder(levels, fit.scale, min).encode(in.x, N, codes.data());
  write_grouped_block(kind, fit.scale, min, codes, block);
}

template <int N>
void encode_integers(const GroupedKind& kind, const BlockInput<N>& in, std::byte* block) {
  const int top = (1 << kind.bits) - 1;
  ZeroFit fit{.zero = kind.zero_point};
  if (kind.offset == GroupedOffset::kZero) {
    fit = search_zero<N>(kind.bits, in.x, in.weight);
  } else {
    const IntegerLevels levels{static_cast<float>(-fit.zero), static_cast<float>(top - fit.zero)};
    fit.scale = search_scale_f16<N>(levels, in.x, in.weight, kScales);
  }
  const IntegerLevels levels{static_cast<float>(-fit.zero), static_cast<float>(top - fit.zero)};
  std::array<uint8_t, N> codes;
  Coder(levels, fit.scale, 0).encode(in.x, N, codes.data());
  write_grouped_block(kind, fit.scale, static_cast<float>(fit.zero), codes, block);
}

// As bitsandbytes does: what is divided by the largest magnitude lies in [-1, 1].
void encode_by_largest(const GroupedKind& kind, const FloatCodebook& levels,
                       std::span<const float> x, std::byte* block) {
  float largest = 0;
  for (const float value : x) largest = std::max(largest, std::fabs(value));
  std::array<uint8_t, kMostBlockElements> codes;
  for (size_t i = 0; i < x.size(); ++i)
    codes[i] = levels.nearest(largest > 0 ? x[i] / largest : 0.0f);
  write_grouped_block(kind, largest, 0, std::span(codes).first(x.size()), block);
}

void choose_codes(const GroupedKind& kind, const QuantizedBlock& block, const FloatCodebook* levels,
                  std::span<const float> x, uint8_t* bytes) {
  BlockParts parts;
  block.split(bytes, parts);
  const auto lowest = static_cast<float>(block.lowest_code),
             last = static_cast<float>(block.last_code());
  for (size_t i = 0; i < x.size(); ++i) {
    const float level = parts.scale != 0 ? x[i] / parts.scale : 0.0f;
    if (levels != nullptr) {
      parts.codes[i] = levels->nearest(level);
    } else {
      const float code = std::nearbyint(level) + static_cast<float>(kind.zero_point);
      parts.codes[i] = static_cast<uint8_t>(std::clamp(code, lowest, last));
    }
  }
  block.join(parts, bytes);
}

template <int N>
void encode_groups(const GroupedKind& kind, std::span<const float> src, std::byte* dst,
                   std::span<const float> importance) {
  const Format& format = grouped_format(kind);
  const QuantizedBlock& block = *format.quantized;
  check_row(format.name, N, src, importance);
  std::optional<FloatCodebook> levels;
  if (block.values != nullptr) levels.emplace(block.values, block.code_bits);
  BlockInput<N> input;
  for (size_t at = 0; at < src.size(); at += N, dst += format.block_bytes) {
    const auto x = src.subspan(at, N);
    if (kind.scope != ScaleScope::kGroup) {
      choose_codes(kind, block, levels ? &*levels : nullptr, x, reinterpret_cast<uint8_t*>(dst));
    } else if (levels) {
      encode_by_largest(kind, *levels, x, dst);
    } else {
      const float limit = static_cast<float>(1 << (kind.bits - 1)) * kF16Max;
      for (size_t i = 0; i < N; ++i) input.x[i] = std::clamp(x[i], -limit, limit);
      block_weights(importance.empty() ? importance : importance.subspan(at, N), input.weight);
      if (kind.offset == GroupedOffset::kMin) {
        encode_by_min<N>(kind, input, dst);
      } else {
        encode_integers<N>(kind, input, dst);
      }
    }
  }
}

// A function of its own for each, as Format has them.
template <size_t kIndex>
void encode(std::span<const float> src, std::byte* dst, std::span<const float> importance) {
  constexpr const GroupedKind& kKind = kEncodable[kIndex];
  encode_groups<kKind.group>(kKind, src, dst, importance);
}

template <size_t... kIndices>
constexpr std::array<Encode, sizeof...(kIndices)> all(std::index_sequence<kIndices...>) {
  return {encode<kIndices>...};
}
constexpr auto kEncoders = all(std::make_index_sequence<kEncodable.size()>());

}  // namespace

Encode encoder_of(const GroupedKind& kind) {
  const auto found = std::ranges::find(kEncodable, kind);
  return found == kEncodable.end() ? nullptr
                                   : kEncoders[static_cast<size_t>(found - kEncodable.begin())];
}

}  // namespace tessera
