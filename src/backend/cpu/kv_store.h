// Where the CPU backend keeps keys and values, and how they are laid out.
//
// A tile is one block (32 tokens) of one layer and one key/value head. Tiles lie in the order
// [block][layer][kv head], so that a block's data for all layers is contiguous: memory is reserved
// for the whole capacity but costs nothing until its block is used. Layers may differ in their
// heads, so each has a layout of its own.
//
// Within a tile, keys are transposed: the 32 tokens of one dimension are neighbours, so that a
// vector holds the same dimension of many keys, and scores need no sums across lanes. Values stay
// as they come, a row for each token.
//
//   f16   keys [head_dim][32] f16                values [32][padded_dim] f16
//   q8_0  keys [head_dim][32] int8,              values [32][padded_dim] int8,
//         key scales [head_dim/32][32] f16       value scales [head_dim/32][32] f16
//
// q8_0 is GGML's: value = code * scale, one scale for 32 neighbouring dimensions of one token.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/state_store.h"
#include "base/aligned_buffer.h"

namespace tessera::cpu {

inline constexpr int kQ8Group = 32;  // dimensions that share a scale

struct TileLayout {
  TileLayout(int head_dim, KvFormat format);

  KvFormat format = KvFormat::kF16;
  int head_dim = 0;
  int padded_dim = 0;  // head_dim rounded up to 16: any vector of ours reads values without a rest
  // Offsets in bytes from the start of the tile; the scales are q8_0's.
  size_t values = 0, key_scales = 0, value_scales = 0;
  size_t bytes = 0;  // a multiple of a cache line
};

class CpuKvStore final : public KvStore {
 public:
  // Throws Error if the shape makes no sense or does not fit into memory.
  explicit CpuKvStore(const KvShape& shape);

  const TileLayout& layout(int layer) const { return tiles_of(layer).layout; }
  std::byte* tile(int layer, int block, int kv_head) {
    return memory_.data() + offset_of(layer, block, kv_head);
  }
  const std::byte* tile(int layer, int block, int kv_head) const {
    return memory_.data() + offset_of(layer, block, kv_head);
  }

  StateStore states;

 private:
  struct LayerTiles {
    TileLayout layout;
    size_t offset = 0;  // of the first, in bytes from the start of the block
  };

  const LayerTiles& tiles_of(int layer) const { return layers_[static_cast<size_t>(layer)]; }
  size_t offset_of(int layer, int block, int kv_head) const {
    const LayerTiles& tiles = tiles_of(layer);
    return static_cast<size_t>(block) * block_bytes + tiles.offset +
           static_cast<size_t>(kv_head) * tiles.layout.bytes;
  }

  std::vector<LayerTiles> layers_;
  AlignedBuffer memory_;
};

// Copies one token's key and value between two tiles of the same layout, bit for bit.
void copy_token(const TileLayout& layout, const std::byte* from_tile, int from, std::byte* to_tile,
                int to);

}  // namespace tessera::cpu
