// How much memory keys and values get.
#pragma once

#include <cstddef>
#include <string>

#include "model/model.h"

namespace tessera {

// "8GiB", "512M", "1.5g": bytes. Error for anything else.
size_t parse_memory_size(const std::string& text);

// Of a KV store for up to `sequences` sequences at once: its blocks, and states of recurrent
// layers, if there are any, which get half of the memory at most. `memory` is a size as above;
// empty: half of what is free, but room for one full context and its drafts at least, and no more
// than all sequences of such a length need. A draft model, if there is one, has a store of as many
// blocks. Error if it is too little for one sequence.
struct KvBudget {
  int blocks = 0, states = 0;
};
KvBudget kv_budget(const Model& model, const Model* draft, KvFormat format,
                   const std::string& memory, int sequences, int draft_budget);
// What a block takes in both.
size_t kv_block_bytes(const Model& model, const Model* draft, KvFormat format);

}  // namespace tessera
