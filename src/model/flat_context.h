// One sequence's KV store without a cache around it: for measuring and looking, where nothing is
// shared, queued or evicted.
#pragma once

#include <memory>
#include <numeric>
#include <span>
#include <vector>

#include "model/model.h"

namespace tessera {

struct FlatContext {
  FlatContext(const Model& model, int tokens, KvFormat format)
      : kv(model.make_kv(blocks_for(tokens), format)), block_table(blocks_for(tokens)) {
    std::iota(block_table.begin(), block_table.end(), 0);
  }

  std::unique_ptr<KvStore> kv;
  std::vector<int32_t> block_table;  // block i holds the i-th kBlockTokens tokens
};

}  // namespace tessera
