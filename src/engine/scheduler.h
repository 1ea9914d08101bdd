// Who runs in a step, and with how many rows (continuous batching, Orca, Yu et al. 2022; prompts in
// chunks, Sarathi, Agrawal et al. 2023).
//
// Sequences have a rank: their order of arrival, moved by their priority. It decides who is
// admitted first and who is preempted last. The running sequence of the smallest rank always
// advances, so that everything ends.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <vector>

#include "cache/block_pool.h"
#include "engine/sequence.h"

namespace tessera {

class Scheduler {
 public:
  struct Limits {
    int context = 0;       // tokens of a sequence
    int rows = 0;          // of a step
    int wanted_rows = 0;   // of a step whose logits are wanted
    int sequences = 0;     // that run at once
    int prompt_rows = 0;   // of a step in which somebody decodes: bounds the gap between tokens
    int draft_budget = 0;  // drafted tokens of one sequence in a step
  };
  struct Statistics {
    uint64_t prompt_tokens = 0;  // of sequences admitted for the first time
    uint64_t cached_tokens = 0;  // how many of these were found in the prefix cache
    uint64_t preemptions = 0;
    uint64_t drafted = 0;
  };
  // A sequence's share of a step: some pending tokens, or its last token with drafts below it.
  struct Share {
    std::shared_ptr<Sequence> sequence;
    TokenTree tree;  // empty for a chunk
    int chunk = 0;   // tokens of a chunk
    int rows() const { return tree.size() > 0 ? tree.size() : chunk; }
  };
  using Queue = std::list<std::shared_ptr<Sequence>>;

  Scheduler(BlockPool& pool, const Limits& limits) : pool_(pool), limits_(limits) {}

  void add(std::shared_ptr<Sequence> sequence) { enqueue(waiting_, std::move(sequence)); }
  // The shares of one step, by rank, their blocks reserved. Empty only if nobody is there. Forgets
  // finished sequences.
  std::vector<Share> schedule();

  const Queue& waiting() const { return waiting_; }  // by rank
  const Queue& running() const { return running_; }
  const Statistics& statistics() const { return statistics_; }

 private:
  static void enqueue(Queue& queue, std::shared_ptr<Sequence> sequence);
  void forget_finished();
  void admit();
  int promised() const;
  void adopt_prefix(Sequence& sequence);
  std::vector<Share> plan();
  TokenTree draft(Sequence& sequence, int room) const;
  void plan_prompts(std::vector<std::shared_ptr<Sequence>> prompts, int rows, int wanted,
                    std::vector<Share>& shares);
  std::vector<std::shared_ptr<Sequence>> prompts_to_compute();
  void reserve_blocks(std::vector<Share>& shares);
  bool preempt_after(const Sequence& sequence);

  BlockPool& pool_;
  Limits limits_;
  Queue waiting_, running_;
  Statistics statistics_;
};

}  // namespace tessera
