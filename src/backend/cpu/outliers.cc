#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/outliers.cc"
#include "base/simd/simd_targets.h"
//
#include <hwy/foreach_target.h>
//
#include <algorithm>
#include <cmath>

#include "backend/cpu/expand_codes.h"
#include "backend/cpu/lanes.h"
#include "backend/cpu/outliers.h"

HWY_BEFORE_NAMESPACE();
namespace tessera::cpu::HWY_NAMESPACE {

// Quad `quad` of a block, or the part of it at byte `part`: load_quad (expand.h) of a number that
// is known at run time only.
HWY_INLINE CodeVector load_any_quad(CodeKind kind, const uint8_t* block, int quad, size_t part) {
  const CodeTag d;
  const auto bits = [&](int vector, int shift, uint32_t mask) HWY_ATTR {
    const auto* plane = reinterpret_cast<const uint32_t*>(block + vector * kQuadBytes + part);
    return hn::And(hn::ShiftRightSame(hn::Load(d, plane), shift), hn::Set(d, mask));
  };
  const auto low2 = [&](int first)
                        HWY_ATTR { return bits(first + quad % 2, quad / 2 * 2, 0x03030303u); };
  const auto low4 = [&]() HWY_ATTR { return bits(quad % 4, quad / 4 * 4, 0x0f0f0f0fu); };
  switch (kind) {
    case CodeKind::k2:
      return low2(0);
    case CodeKind::k3:
      return hn::Or(low2(0), hn::ShiftLeft<2>(bits(2, quad, 0x01010101u)));
    case CodeKind::k4:
      return low4();
    case CodeKind::k5:
      return hn::Or(low4(), hn::ShiftLeft<4>(bits(4, quad, 0x01010101u)));
    case CodeKind::k6:
      return hn::Or(low4(), hn::ShiftLeft<4>(low2(4)));
    case CodeKind::k8:
      break;
  }
  return bits(quad, 0, 0xffffffffu);
}

// Byte `byte` of every lane, as a float.
HWY_INLINE FloatVector byte_of(CodeVector codes, int byte) {
  const CodeTag d;
  const auto one = hn::And(hn::ShiftRightSame(codes, 8 * byte), hn::Set(d, 0xffu));
  return hn::ConvertTo(FloatTag(), hn::BitCast(IntTag(), one));
}

// What the codes of a column stand for before their scales.
HWY_INLINE FloatVector levels_of(const Layout& layout, CodeVector codes, int byte) {
  const FloatTag df;
  const int zero = layout.lookup == Lookup::kNone && has_min(layout.scales) ? 0 : layout.zero_point;
  if (layout.lookup == Lookup::kNone)
    return hn::Sub(byte_of(codes, byte), hn::Set(df, static_cast<float>(zero)));
  const FloatVector high = byte_of(look_up(layout.table.data(), codes), byte);
  if (layout.lookup == Lookup::kTable) return hn::Sub(high, hn::Set(df, static_cast<float>(zero)));
  const FloatVector low = byte_of(look_up(layout.low_table.data(), codes), byte);
  return hn::Add(hn::Mul(hn::Sub(high, hn::Set(df, kLevelZero)), hn::Set(df, 256.0f)), low);
}

// Decodes columns of a panel in ascending order.
class ColumnDecoder {
 public:
  ColumnDecoder(const Layout& layout, const std::byte* panel, int columns)
      : layout_(layout), panel_(reinterpret_cast<const uint8_t*>(panel)), columns_(columns) {}

  void decode(int column, float* weights) {
    const int number = column / kSuperBlock, in_chunk = column % kSuperBlock;
    const int blocks = std::min(kChunkBlocks, padded_blocks(columns_) - number * kChunkBlocks);
    const uint8_t* chunk = panel_ + static_cast<size_t>(number) * layout_.chunk_bytes(kChunkBlocks);
    if (number != number_) {
      expand_scales(layout_, chunk, blocks, chunk_);
      codes_ = chunk + layout_.scale_bytes(blocks);
      if (layout_.is_sparse()) codes_ = expand_codes(layout_, codes_, blocks, chunk_);
    }
    number_ = number;
    const CodeKind kind = layout_.is_sparse() ? CodeKind::k8 : layout_.codes;
    const uint8_t* block =
        codes_ + static_cast<size_t>(in_chunk / kBlock * code_vectors(kind)) * kQuadBytes;
    const FloatTag df;
    const int scale = in_chunk / layout_.scale_columns;
    for (size_t r = 0; r < kPanelRows; r += kLanes) {
      const auto codes = load_any_quad(kind, block, in_chunk % kBlock / 4, 4 * r);
      FloatVector w =
          hn::Mul(hn::Load(df, chunk_.scales[scale] + r), levels_of(layout_, codes, in_chunk % 4));
      if (has_min(layout_.scales)) w = hn::Add(w, hn::Load(df, chunk_.mins[scale] + r));
      hn::Store(w, df, weights + r);
    }
  }

 private:
  const Layout& layout_;
  const uint8_t* panel_;
  const int columns_;
  int number_ = -1;  // of the chunk whose scales, and sparse codes, are expanded
  const uint8_t* codes_ = nullptr;
  Chunk chunk_;
};

void add_outliers(const Layout& layout, const std::byte* panel, int columns,
                  std::span<const Outlier> outliers, int first_row, float (*sums)[kPanelRows]) {
  ColumnDecoder decoder(layout, panel, columns);
  alignas(64) float weights[kPanelRows];
  int decoded = -1;
  const FloatTag df;
  for (const Outlier& outlier : outliers) {
    if (outlier.column != decoded) decoder.decode(outlier.column, weights);
    decoded = outlier.column;
    const auto value = hn::Set(df, outlier.value);
    float* sum = sums[outlier.row - first_row];
    for (size_t r = 0; r < kPanelRows; r += kLanes) {
      hn::StoreU(hn::Add(hn::LoadU(df, sum + r), hn::Mul(value, hn::Load(df, weights + r))), df,
                 sum + r);
    }
  }
}

}  // namespace tessera::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::cpu {

HWY_EXPORT(add_outliers);

void take_outliers(const float* from, int columns, float threshold, int row, float* to,
                   std::vector<Outlier>& outliers) {
  for (int c = 0; c < columns; ++c) {
    const bool large = std::fabs(from[c]) >= threshold && std::isfinite(from[c]);
    to[c] = large ? 0.0f : from[c];
    if (large) outliers.push_back({c, row, from[c]});
  }
}

void add_outliers(const Layout& layout, const std::byte* panel, int columns,
                  std::span<const Outlier> outliers, int first_row, float (*sums)[kPanelRows]) {
  HWY_DYNAMIC_DISPATCH(add_outliers)(layout, panel, columns, outliers, first_row, sums);
}

}  // namespace tessera::cpu
#endif
