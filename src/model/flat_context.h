// One sequence's KV store without a cache around it: for measuring and looking, where nothing is
// shared, queued or evicted.
#pragma once

#include <memory>
#include <numeric>
#include <span>
#include <vector>

#include "base/error.h"
#include "model/model.h"

namespace tessera {

struct FlatContext {
  FlatContext(const Model& model, int tokens, KvFormat format)
      : kv(model.make_kv(blocks_for(tokens), format, model.state_bytes() > 0 ? 2 : 0)),
        block_table(blocks_for(tokens)) {
    std::iota(block_table.begin(), block_table.end(), 0);
  }

  // For a chunk of so many tokens behind the first `first` ones: behind the last chunk, or one from
  // where a chunk before it went on, as long as nothing was read from elsewhere since. Error for
  // any other place in the text of a model with recurrent layers: their states there are gone.
  RowStates go_on(int first, int rows) {
    if (kv->shape.states == 0) return {};
    if (first == last.tokens) from = last;
    if (first == 0) from = {};
    if (first != from.tokens)
      fail("recurrent layers cannot go back to token {}, only to token {}", first, from.tokens);
    last.tokens = first + rows;
    last.state = from.state == 0 ? 1 : 0;
    return {.from = from.state, .saves = {{.row = rows - 1, .state = last.state}}};
  }

  struct Behind {
    int tokens = 0;
    int32_t state = kNoState;
  };
  Behind from, last;  // what the last chunk went on from, and what it left
  std::unique_ptr<KvStore> kv;
  std::vector<int32_t> block_table;  // block i holds the i-th kBlockTokens tokens
};

}  // namespace tessera
