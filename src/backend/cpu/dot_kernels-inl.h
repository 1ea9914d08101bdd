// The dot kernel of all quantized formats. The loop that matters is in `multiply_blocks`.
//
// With AVX-512 VNNI, a block of 32 columns of 16 outputs and T rows of activations takes
//   8 vectors of codes: loads, shifts and masks (expand.h: 0 for 8-bit codes, 12 for 4-bit ones),
//   8 T dot instructions (64 products each) on a broadcast of 4 activations, and
//   2 T float instructions (times the weights' scale; times the activations' scale, add),
//     4 T with scales by 16 columns, and T more with a min.
// Two ports run all of these. With T = 4, many times over, that is 32 dots of 40 to 48: at most 67
// to 80 % of the int8 peak. With T = 1 it is 10 instructions and the unpacking, for 128 to 512
// bytes of weights: less time than memory takes to deliver them. So decoding is bound by memory,
// prompts by the dot instruction.
//
// Reached, with bench/linear_bench (1536 x 8960, 1 thread, quantizing the activations included): of
// the peak with 512 rows Q4_0 62 %, Q8_0 63 %, Q4_K 57 %, Q6_K 49 %; of the bandwidth with 1 row 77
// to 86 %. docs/performance.md has whole models.
//
// No instruction turns dots into floats: they start from kMagicBits, whose bits as a float are 1.5
// x 2^23, so that a dot d (|d| < 2^22) has the bits of the float kMagic + d. Its product with the
// scale takes kMagic * scale off again in the same multiply-add; that is exact, for a scale has few
// bits.
//
// A codebook of 16-bit levels takes two dots, of their high and of their low bytes: 256 high + low
// is an exact integer, which converts and multiplies as it is; 8 lookups and 8 T dots more.
//
// Order, the same for every T and every caller (exactness): integers are summed over the columns of
// a scale, exactly; their f32 products are added block by block, ascending, to one accumulator for
// each output.
// Read once for each target (see simd.h). Every kernel takes compilers seconds: there is one only
// where formats need it.
#if defined(TESSERA_CPU_DOT_KERNELS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TESSERA_CPU_DOT_KERNELS_INL_H
#undef TESSERA_CPU_DOT_KERNELS_INL_H
#else
#define TESSERA_CPU_DOT_KERNELS_INL_H
#endif

#include <bit>

#include "backend/cpu/activations.h"
#include "backend/cpu/dot4.h"
#include "backend/cpu/dot_kernels.h"
#include "backend/cpu/expand.h"
#include "backend/cpu/lanes.h"
#include "backend/cpu/spread.h"

HWY_BEFORE_NAMESPACE();
namespace tessera::cpu::HWY_NAMESPACE {

// What a kernel is compiled for.
struct Kind {
  CodeKind codes;
  Lookup lookup;
  int max_code;
  int scale_columns;
  bool has_min;
  bool spread = false;  // codes without their zeros, to be spread by a mask

  constexpr int scales() const { return kBlock / scale_columns; }  // of a block
  constexpr int quads() const { return scale_columns / 4; }        // of a scale
  // Codes of 16 bits: two dots, of their high and of their low bytes.
  constexpr bool wide() const { return lookup == Lookup::kWide; }
};

// A dot as an exact product with its scale (see the top); magic = -kMagic * scale.
HWY_INLINE FloatVector times_scale(IntVector dot, FloatVector scale, FloatVector magic) {
  const FloatTag df;
  const FloatVector shifted = hn::BitCast(df, dot);
  if constexpr (kHasMulAdd) return hn::MulAdd(shifted, scale, magic);
  return hn::Mul(hn::Sub(shifted, hn::Set(df, kMagic)), scale);
}

// What the dot of low codes starts from: 256 times kMagicBits, which the high one carries, vanish
// from 32 bits.
constexpr int32_t kLowStart = static_cast<int32_t>(0u - (static_cast<uint32_t>(kMagicBits) << 8));

// Codes in the order that a kernel wants them, where that is the order of memory.
#if HWY_TARGET == HWY_AVX3_DL
class CodeStream {
 public:
  explicit CodeStream(const Weights& w) : codes_(w.codes, w.zero), masks_(w.masks) {}
  HWY_INLINE CodeVector next() {
    uint64_t mask;
    std::memcpy(&mask, masks_, sizeof(mask));
    masks_ += sizeof(mask);
    return CodeVector{codes_.next(mask)};
  }

 private:
  SparseCodes codes_;
  const uint8_t* masks_;
};
#else
struct CodeStream {  // no kernel spreads codes
  explicit CodeStream(const Weights&) {}
  CodeVector next() { return hn::Zero(CodeTag()); }
};
#endif

// Adds kBlocks blocks, from block `b` on, to the sums of kRows rows and kParts times kLanes
// outputs, `part` and up. Several parts at once halve the broadcasts of activations, several blocks
// hide the latency of the dots: chains of 8.
template <Kind kKind, bool kAlone, int kRows, int kParts, int kBlocks>
HWY_INLINE void multiply_blocks(const Weights& w, CodeStream& spread, int b, const Activations& x,
                                size_t part, FloatVector (&sums)[kParts][kRows]) {
  constexpr int kScales = kKind.scales(), kQuads = kKind.quads(), kUnits = kBlocks * kScales;
  constexpr size_t kBlockBytes = code_vectors(kKind.codes) * kQuadBytes;
  const FloatTag df;
  const IntTag di;
  const uint8_t* weights = w.codes + b * kBlockBytes;
  const uint8_t* stream = w.stream + b * 8 * w.stream_stride;
  const int8_t* codes = x.codes + b * kRows * kBlock;
  const float* scales = x.scales + b * kRows;
  const int32_t* terms = x.terms + b * kScales * kRows;

  // A tile in company has few lines to fetch, and ports that its loads keep busy.
  if constexpr (!kAlone) {
    const size_t ahead = kBlocks * 8 * w.stream_stride;
    for (size_t line = 0; line < ahead; line += 64) fetch_ahead(stream + line);
  }

  Dot<kKind.max_code> dots[kUnits][kParts][kRows];
  Dot<kKind.max_code> low_dots[kUnits][kParts][kRows];  // if wide
  unroll<kUnits * kParts>([&](auto i) TESSERA_INLINE_LAMBDA {
    constexpr int unit = i / kParts, p = i % kParts;
    TESSERA_UNROLL for (int r = 0; r < kRows; ++r) {
      dots[unit][p][r].start(hn::Set(di, kKind.has_min ? kMagicBits : terms[unit * kRows + r]));
      if constexpr (kKind.wide()) low_dots[unit][p][r].start(hn::Set(di, kLowStart));
    }
  });
  unroll<kQuads>([&](auto quad) TESSERA_INLINE_LAMBDA {
    unroll<kUnits>([&](auto unit) TESSERA_INLINE_LAMBDA {
      constexpr int kOfBlock = unit / kScales, kQuad = unit % kScales * kQuads + quad;
      if constexpr (kAlone) {
        fetch_ahead(stream + (kOfBlock * 8 + kQuad) * w.stream_stride);
        fetch_ahead(stream + (kOfBlock * 8 + kQuad) * w.stream_stride + w.stream_stride / 2);
      }
      const int8_t* xq = codes + kOfBlock * kRows * kBlock + kQuad * 4;
      unroll<kParts>([&](auto p) TESSERA_INLINE_LAMBDA {
        const uint8_t* block = weights + kOfBlock * kBlockBytes;
        const size_t at = (part + p * kLanes) * 4;
        CodeVector loaded;
        if constexpr (kKind.spread) {
          loaded = spread.next();
        } else {
          loaded = load_codes<kKind.codes, kKind.lookup, kQuad>(block, at, w.table);
        }
        const auto wq = dot_codes<kKind.max_code>(hn::BitCast(di, loaded));
        TESSERA_UNROLL for (int r = 0; r < kRows; ++r) {
          dots[unit][p][r].template add<quad, kQuads>(wq, broadcast(xq + r * kBlock));
        }
        if constexpr (kKind.wide()) {
          const auto low = dot_codes<kKind.max_code>(
              hn::BitCast(di, load_low_codes<kKind.codes, kQuad>(block, at, w.low_table)));
          TESSERA_UNROLL for (int r = 0; r < kRows; ++r) {
            low_dots[unit][p][r].template add<quad, kQuads>(low, broadcast(xq + r * kBlock));
          }
        }
      });
    });
  });

  unroll<kBlocks * kParts>([&](auto i) TESSERA_INLINE_LAMBDA {
    constexpr int block = i / kParts, p = i % kParts, kFirst = block * kScales;
    const auto load = [&](const float(*rows)[kPanelRows], int s) TESSERA_INLINE_LAMBDA {
      return hn::Load(df, rows[b * kScales + kFirst + s] + part + p * kLanes);
    };
    const FloatVector scale = load(w.scales, 0), last_scale = load(w.scales, kScales - 1);
    const FloatVector magic = hn::Mul(scale, hn::Set(df, -kMagic));
    TESSERA_UNROLL for (int r = 0; r < kRows; ++r) {
      FloatVector product;
      if constexpr (kKind.wide()) {
        const IntVector high = hn::ShiftLeft<8>(dots[kFirst][p][r].sum());
        const IntVector dot = hn::Add(high, low_dots[kFirst][p][r].sum());
        product = hn::Mul(hn::ConvertTo(df, dot), scale);
      } else {
        product = times_scale(dots[kFirst][p][r].sum(), scale, magic);
      }
      if constexpr (kScales == 2) {
        const IntVector dot = hn::Sub(dots[kFirst + 1][p][r].sum(), hn::Set(di, kMagicBits));
        product = hn::MulAdd(hn::ConvertTo(df, dot), last_scale, product);
      }
      sums[p][r] = hn::MulAdd(product, hn::Set(df, scales[block * kRows + r]), sums[p][r]);
    }
    if constexpr (kKind.has_min) {
      unroll<kScales>([&](auto s) TESSERA_INLINE_LAMBDA {
        const FloatVector min = load(w.mins, s);
        TESSERA_UNROLL for (int r = 0; r < kRows; ++r) {
          const float term = std::bit_cast<float>(terms[(kFirst + s) * kRows + r]);
          sums[p][r] = hn::MulAdd(min, hn::Set(df, term), sums[p][r]);
        }
      });
    }
  });
}

// Adds all blocks, for all rows and outputs: as many at a time as the registers hold.
template <Kind kKind, bool kAlone, int kRows>
HWY_NOINLINE void multiply_tile(const Weights& w, const Activations& x,
                                float (*all_sums)[kPanelRows]) {
  constexpr bool kRoom = kRows == 1 || kLanes >= 16;
  constexpr int kParts = kRoom && kLanes < kPanelRows ? 2 : 1;
  constexpr int kBlocks =
      kRoom && !(kKind.wide() && kRows > 1) && !kKind.spread ? 2 / kKind.scales() : 1;
  const FloatTag df;
  for (size_t part = 0; part < kPanelRows; part += kParts * kLanes) {
    FloatVector sums[kParts][kRows];
    unroll<kParts>([&](auto p) TESSERA_INLINE_LAMBDA {
      TESSERA_UNROLL for (int r = 0; r < kRows; ++r) {
        sums[p][r] = hn::Load(df, all_sums[r] + part + p * kLanes);
      }
    });
    CodeStream spread(w);
    for (int b = 0; b < w.blocks; b += kBlocks) {
      multiply_blocks<kKind, kAlone, kRows, kParts, kBlocks>(w, spread, b, x, part, sums);
    }
    unroll<kParts>([&](auto p) TESSERA_INLINE_LAMBDA {
      TESSERA_UNROLL for (int r = 0; r < kRows; ++r) {
        hn::Store(sums[p][r], df, all_sums[r] + part + p * kLanes);
      }
    });
  }
}

// The kinds of codes and scales that formats need.
template <CodeKind kCodes, int kMaxCode, int kScaleColumns, bool kMin,
          Lookup kLookup = Lookup::kNone>
constexpr Kind kKindOf = {kCodes, kLookup, dot_class(kMaxCode), kScaleColumns, kMin};

template <Kind kKind>
AloneKernels alone_kernels() {
  return {multiply_tile<kKind, true, 1>, multiply_tile<kKind, true, kTileRows>, kKind.spread};
}

// Of sparse codes: they come in the order of memory where two vectors hold all rows of a panel.
inline AloneKernels alone_kernels_of_sparse_codes() {
  constexpr Kind kBytes = kKindOf<CodeKind::k8, 255, 32, false>;
#if HWY_TARGET == HWY_AVX3_DL
  constexpr Kind kSpread = {kBytes.codes, kBytes.lookup, kBytes.max_code, 32, false, true};
  return alone_kernels<kSpread>();
#else
  return alone_kernels<kBytes>();
#endif
}

}  // namespace tessera::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // TESSERA_CPU_DOT_KERNELS_INL_H
