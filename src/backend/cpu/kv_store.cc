// Writing keys and values: each row is rounded to the storage format by itself (so what is stored
// depends on that row alone), then its key is scattered down a column of the tile. A write costs
// head_dim touched cache lines, which the attention that follows reads anyway.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/kv_store.cc"
#include "base/simd/simd_targets.h"
//
#include <hwy/foreach_target.h>

#include "base/simd/simd.h"
//

#include <algorithm>
#include <cstring>

#include "backend/cpu/attention.h"
#include "backend/cpu/kv_store.h"
#include "base/checked.h"
#include "base/half.h"

HWY_BEFORE_NAMESPACE();
namespace tessera::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// out[i] = f16(x[i]), to nearest even. x and out have room up to a multiple of 16.
void encode_f16(const float* x, int count, uint16_t* out) {
#if HWY_TARGET <= HWY_AVX2 || HWY_TARGET == HWY_NEON
  const hn::ScalableTag<float> df;
  const hn::Rebind<hwy::float16_t, decltype(df)> dh;
  for (int i = 0; i < count; i += static_cast<int>(hn::Lanes(df))) {
    hn::StoreU(hn::DemoteTo(dh, hn::LoadU(df, x + i)), dh,
               reinterpret_cast<hwy::float16_t*>(out + i));
  }
#else  // no such instruction, and Highway's stand-in truncates
  for (int i = 0; i < count; ++i) out[i] = f32_to_f16(x[i]);
#endif
}

// One group of q8_0: scale = f16(max |x| / 127), codes = round(x / scale). A NaN anywhere makes the
// scale NaN, so that it is not silently lost.
void encode_q8(const float* x, int8_t* codes, uint16_t* scale) {
  const hn::ScalableTag<float> df;
  const hn::RebindToSigned<decltype(df)> di;
  const hn::Rebind<int8_t, decltype(df)> d8;
  const int lanes = static_cast<int>(hn::Lanes(df));
  auto largest = hn::Zero(df), sum = hn::Zero(df);
  for (int i = 0; i < kQ8Group; i += lanes) {
    const auto v = hn::LoadU(df, x + i);
    largest = hn::Max(largest, hn::Abs(v));
    sum = hn::Add(sum, v);
  }
  const float total = hn::GetLane(hn::SumOfLanes(df, sum));
  const float max = hn::GetLane(hn::MaxOfLanes(df, largest));
  *scale = f32_to_f16(total == total ? max / 127.0f : total);
  const float step = f16_to_f32(*scale);
  const auto inverse = hn::Set(df, step > 0.0f ? 1.0f / step : 0.0f);
  for (int i = 0; i < kQ8Group; i += lanes) {
    const auto code = hn::NearestInt(hn::Mul(hn::LoadU(df, x + i), inverse));
    const auto clamped = hn::Min(hn::Max(code, hn::Set(di, -127)), hn::Set(di, 127));
    hn::StoreU(hn::DemoteTo(d8, clamped), d8, codes + i);
  }
}

}  // namespace tessera::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::cpu {
HWY_EXPORT(encode_f16);
HWY_EXPORT(encode_q8);

namespace {

constexpr int kMaxHeadDim = 1024;

size_t round_up(size_t n, size_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

// Rounds one head's row and stores it as token `token` of the tile: keys down a column (stride 32
// elements), values along a row.
void store_f16(const TileLayout& layout, std::byte* tile, int token, const float* k,
               const float* v) {
  alignas(64) float padded[kMaxHeadDim];
  alignas(64) uint16_t half[kMaxHeadDim];
  const int dim = layout.head_dim;
  const auto encode = [&](const float* x) {
    std::copy_n(x, dim, padded);
    std::fill(padded + dim, padded + layout.padded_dim, 0.0f);
    HWY_DYNAMIC_DISPATCH(encode_f16)(padded, dim, half);
  };
  encode(k);
  auto* keys = reinterpret_cast<uint16_t*>(tile);
  for (int d = 0; d < dim; ++d) keys[d * kBlockTokens + token] = half[d];
  encode(v);
  auto* values = reinterpret_cast<uint16_t*>(tile + layout.values);
  std::memcpy(values + static_cast<size_t>(token) * layout.padded_dim, half,
              static_cast<size_t>(dim) * sizeof(uint16_t));
}

void store_q8(const TileLayout& layout, std::byte* tile, int token, const float* k,
              const float* v) {
  auto* keys = reinterpret_cast<int8_t*>(tile);
  auto* values = reinterpret_cast<int8_t*>(tile + layout.values);
  auto* key_scales = reinterpret_cast<uint16_t*>(tile + layout.key_scales);
  auto* value_scales = reinterpret_cast<uint16_t*>(tile + layout.value_scales);
  for (int group = 0; group < layout.head_dim / kQ8Group; ++group) {
    const int first = group * kQ8Group;
    const int scale = group * kBlockTokens + token;
    int8_t codes[kQ8Group];
    HWY_DYNAMIC_DISPATCH(encode_q8)(k + first, codes, key_scales + scale);
    for (int d = 0; d < kQ8Group; ++d) keys[(first + d) * kBlockTokens + token] = codes[d];
    HWY_DYNAMIC_DISPATCH(encode_q8)
    (v + first, values + static_cast<size_t>(token) * layout.padded_dim + first,
     value_scales + scale);
  }
}

template <typename T>
void copy_columns(const std::byte* from, int from_token, std::byte* to, int to_token, int rows) {
  const T* source = reinterpret_cast<const T*>(from) + from_token;
  T* target = reinterpret_cast<T*>(to) + to_token;
  for (int i = 0; i < rows; ++i) target[i * kBlockTokens] = source[i * kBlockTokens];
}

}  // namespace

TileLayout::TileLayout(int given_head_dim, KvFormat given_format)
    : format(given_format),
      head_dim(given_head_dim),
      padded_dim(static_cast<int>(round_up(static_cast<size_t>(head_dim), 16))) {
  const size_t width = format == KvFormat::kF16 ? sizeof(uint16_t) : sizeof(int8_t);
  const size_t scales =
      format == KvFormat::kF16 ? 0 : static_cast<size_t>(head_dim) * sizeof(uint16_t);
  values = round_up(static_cast<size_t>(head_dim) * kBlockTokens * width, 64);
  key_scales = values + static_cast<size_t>(padded_dim) * kBlockTokens * width;
  value_scales = key_scales + scales;
  bytes = round_up(value_scales + scales, 64);
}

CpuKvStore::CpuKvStore(const KvShape& kv_shape) : states(kv_shape) {
  shape = kv_shape;
  if (shape.layers.empty() || shape.blocks < 1) {
    fail("KV cache: {} layers, {} blocks: each must be at least 1", shape.layers.size(),
         shape.blocks);
  }
  const int multiple = shape.format == KvFormat::kQ8_0 ? kQ8Group : 2;
  for (const KvLayer& layer : shape.layers) {
    if (layer.heads == 0 && layer.head_dim == 0) {  // one that does not attend
      layers_.push_back({TileLayout(0, shape.format), block_bytes});
      continue;
    }
    if (layer.heads < 1) fail("KV cache: {} KV heads: must be at least 1", layer.heads);
    if (layer.head_dim < 1 || layer.head_dim > kMaxHeadDim || layer.head_dim % multiple != 0) {
      fail("KV cache: head dimension {}: {} needs a multiple of {} up to {}", layer.head_dim,
           shape.format == KvFormat::kQ8_0 ? "q8_0" : "f16", multiple, kMaxHeadDim);
    }
    layers_.push_back({TileLayout(layer.head_dim, shape.format), block_bytes});
    const uint64_t bytes =
        checked_mul(static_cast<uint64_t>(layer.heads), layers_.back().layout.bytes, "KV cache");
    block_bytes = checked_add(block_bytes, bytes, "KV cache");
  }
  memory_ =
      AlignedBuffer(checked_mul(static_cast<uint64_t>(shape.blocks), block_bytes, "KV cache"));
}

void copy_token(const TileLayout& layout, const std::byte* from_tile, int from, std::byte* to_tile,
                int to) {
  const bool f16 = layout.format == KvFormat::kF16;
  const size_t row_bytes = static_cast<size_t>(layout.padded_dim) * (f16 ? 2 : 1);
  std::memmove(to_tile + layout.values + static_cast<size_t>(to) * row_bytes,
               from_tile + layout.values + static_cast<size_t>(from) * row_bytes, row_bytes);
  if (f16) {
    copy_columns<uint16_t>(from_tile, from, to_tile, to, layout.head_dim);
    return;
  }
  const int groups = layout.head_dim / kQ8Group;
  copy_columns<int8_t>(from_tile, from, to_tile, to, layout.head_dim);
  copy_columns<uint16_t>(from_tile + layout.key_scales, from, to_tile + layout.key_scales, to,
                         groups);
  copy_columns<uint16_t>(from_tile + layout.value_scales, from, to_tile + layout.value_scales, to,
                         groups);
}

size_t kv_block_bytes(const KvShape& shape) {
  size_t bytes = 0;
  for (const KvLayer& layer : shape.layers) {
    bytes += TileLayout(layer.head_dim, shape.format).bytes * static_cast<size_t>(layer.heads);
  }
  return bytes;
}

std::unique_ptr<KvStore> allocate_kv(const KvShape& shape) {
  return std::make_unique<CpuKvStore>(shape);
}

void write_kv(ThreadPool& pool, KvStore& kv, int layer, std::span<const int32_t> slots,
              HostTensor k, HostTensor v) {
  auto& store = static_cast<CpuKvStore&>(kv);
  const TileLayout& layout = store.layout(layer);
  const int rows = static_cast<int>(slots.size());
  const auto store_head_rows = [&](int first, int last, int head) {
    for (int row = first; row < last; ++row) {
      const int slot = slots[static_cast<size_t>(row)];
      std::byte* tile = store.tile(layer, slot / kBlockTokens, head);
      const float* key = k.row(row) + head * layout.head_dim;
      const float* value = v.row(row) + head * layout.head_dim;
      const auto encode = layout.format == KvFormat::kF16 ? store_f16 : store_q8;
      encode(layout, tile, slot % kBlockTokens, key, value);
    }
  };
  constexpr int kChunkRows = 32;  // prompts fill whole tiles, which then stay in one core's cache
  const int heads = store.shape.layers[static_cast<size_t>(layer)].heads;
  if (rows < kChunkRows) {
    for (int head = 0; head < heads; ++head) store_head_rows(0, rows, head);
    return;
  }
  const int chunks = (rows + kChunkRows - 1) / kChunkRows;
  pool.parallel_for(chunks * heads, [&](int index, int) {
    const int first = index / heads * kChunkRows;
    store_head_rows(first, std::min(rows, first + kChunkRows), index % heads);
  });
}

void copy_kv(KvStore& kv, std::span<const int32_t> from, std::span<const int32_t> to) {
  auto& store = static_cast<CpuKvStore&>(kv);
  for (size_t i = 0; i < from.size(); ++i) {
    if (from[i] == to[i]) continue;
    for (int layer = 0; layer < static_cast<int>(store.shape.layers.size()); ++layer) {
      for (int head = 0; head < store.shape.layers[static_cast<size_t>(layer)].heads; ++head) {
        copy_token(store.layout(layer), store.tile(layer, from[i] / kBlockTokens, head),
                   from[i] % kBlockTokens, store.tile(layer, to[i] / kBlockTokens, head),
                   to[i] % kBlockTokens);
      }
    }
  }
}

}  // namespace tessera::cpu
#endif  // HWY_ONCE
