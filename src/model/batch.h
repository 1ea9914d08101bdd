// The rows of one forward pass: prompt chunks, single decode tokens and token trees, from any mix
// of sequences. All three are trees: a chunk is a chain, a decode step a tree of one node.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "base/token.h"

namespace tessera {

// A low-rank adapter (model/lora.h) that a row goes through, and by how much: it adds scale * B A
// to the model's matrices.
struct AdapterUse {
  int adapter = 0;  // Model::add_adapter()'s number
  float scale = 1.0f;

  bool operator==(const AdapterUse&) const = default;
};
// Those of a row: each adapter once, in ascending order. Their sums are added.
using AdapterMix = std::vector<AdapterUse>;

// How recurrent layers go through a sequence's rows: from which state, and behind which of them,
// counted from the first, the states are to be kept (of a tree afterwards: Model::keep_states).
struct RowStates {
  int32_t from = kNoState;
  std::vector<StateSave> saves = {};
};

struct Batch {
  // One entry a row.
  std::vector<Token> tokens;
  std::vector<int32_t> positions;           // logical position in its sequence
  std::vector<int32_t> slots;               // where its keys and values go
  std::vector<RowContext> contexts;         // what it attends to
  std::vector<const AdapterMix*> adapters;  // nullptr: none
  // Rows whose logits are wanted, ascending.
  std::vector<int32_t> wanted;
  std::vector<StateRun> runs;  // the rows again, sequence by sequence

  int rows() const { return static_cast<int>(tokens.size()); }

  // Appends the nodes of a tree that follows `prefix` computed tokens of a sequence. Node i hangs
  // below node parents[i] < i, or directly below the prefix if that is -1. Its keys and values go
  // to the slot of position prefix + i, so `block_table` must reach prefix + nodes.size() tokens;
  // it must outlive the forward pass, and so must `mix`, which all nodes go through.
  void add_tree(std::span<const Token> nodes, std::span<const int32_t> parents, int prefix,
                std::span<const int32_t> block_table, const AdapterMix* mix = nullptr,
                int32_t from = kNoState);
  // A chain: a prompt chunk, or one decode token.
  void add_chain(std::span<const Token> chain, int prefix, std::span<const int32_t> block_table,
                 const AdapterMix* mix = nullptr, const RowStates& states = {});
  // A whole text, each of whose rows sees all of it (bidirectional attention).
  void add_text(std::span<const Token> text, std::span<const int32_t> block_table,
                const AdapterMix* mix = nullptr);

 private:
  std::deque<std::vector<int32_t>>
      tails_;  // what contexts[].tail and runs[].parents point to; deque: they never move
  std::deque<std::vector<StateSave>> saves_;
};

}  // namespace tessera
