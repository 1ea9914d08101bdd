// Who runs in a step, and with how many rows (continuous batching, Orca, Yu et al. 2022; prompts in
// chunks, Sarathi, Agrawal et al. 2023).
//
// Sequences have a rank: their turn in the order that is fair to clients (engine/fair_order.h),
// moved by their priority. It decides who is admitted first and who is preempted last. The running
// sequence of the smallest rank always advances, so that everything ends. What clients have of a
// step is bounded by what it does to the others (engine/client_shares.h).
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <utility>
#include <vector>

#include "cache/block_pool.h"
#include "engine/client_shares.h"
#include "engine/fair_order.h"
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
    int weight_rows = ClientShares::kWeightRows;  // that take as long as reading the weights
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
    TokenTree tree = {};  // empty for a chunk
    int chunk = 0;        // tokens of a chunk
    int room = 0;         // of a decoding sequence: nodes that may be drafted

    int rows() const { return tree.size() > 0 ? tree.size() : chunk; }
    // Takes the states of recurrent layers that its rows are to write. False if there are too few.
    bool plan_states() const;
  };
  using Queue = std::list<std::shared_ptr<Sequence>>;

  Scheduler(BlockPool& pool, const Limits& limits) : pool_(pool), limits_(limits) {}

  void add(std::shared_ptr<Sequence> sequence);
  // Another beam of a search, of which `first` was added: nobody is between their ranks.
  void add_beam(std::shared_ptr<Sequence> beam, const Sequence& first);
  // A step is planned in two halves, between which those who have room may draft: trees go into the
  // shares that begin() gives, node 0 the last token. end() drops nodes that do not fit the step,
  // adds the prompts' chunks, and reserves blocks; what it leaves, by rank, is to be run. Empty
  // only if nobody is there. begin() forgets finished sequences.
  std::vector<Share> begin();
  void end(std::vector<Share>& shares);
  // After begin(): rows that end() will give to prompts, about.
  int prompt_rows() const { return prompts_.rows; }

  // Blocks whose contents must be copied, in this order, before the step runs: they were shared,
  // and one of their sequences goes on.
  std::vector<BlockTable::Copy> take_copies() { return std::exchange(copies_, {}); }

  // Whether a running sequence has no rows until its mask is known.
  bool awaits_masks() const;
  // Whether somebody may be disturbed by what another asks for.
  bool has_several_clients() const;

  // `sequence` has finished and keeps its blocks until somebody else needs them.
  void park(const std::shared_ptr<Sequence>& sequence) { parked_.emplace_back(sequence); }

  const Queue& waiting() const { return waiting_; }  // by rank
  const Queue& running() const { return running_; }
  const Statistics& statistics() const { return statistics_; }

 private:
  struct Rows {
    int rows = 0, wanted = 0;  // those that give logits, of the same
    Rows divided(int by) const { return {(rows + by - 1) / by, (wanted + by - 1) / by}; }
  };

  static void enqueue(Queue& queue, std::shared_ptr<Sequence> sequence);
  const Sequence* first() const;
  void forget_finished();
  void charge_long_answers();
  void look_for_masks();
  void admit();
  int promised(const Sequence& sequence) const;
  int promised() const;
  bool make_room(const Sequence& sequence, int blocks);
  void adopt_prefix(Sequence& sequence);
  static void adopt_sibling(Sequence& sequence);
  static bool is_computed_by_sibling(const Sequence& sequence);
  void plan_rows(int decoding);
  void fit_trees(std::vector<Share>& shares);
  void plan_prompts(std::vector<Share>& shares);
  void lengthen(Share& chunk, Rows& own, Rows& left);
  void end_with_block(Share& chunk) const;
  std::vector<std::shared_ptr<Sequence>> prompts_to_compute();
  void reserve_blocks(std::vector<Share>& shares);
  bool reserve(Share& share);
  bool unpark();
  bool preempt_after(const Sequence& sequence);
  void preempt_last();

  // What begin() leaves for end().
  struct Prompts {
    std::vector<std::shared_ptr<Sequence>> sequences;
    int rows = 0;   // for all of them
    int draft = 0;  // rows for all drafts
  };

  BlockPool& pool_;
  Limits limits_;
  FairOrder order_;
  Queue waiting_, running_;
  std::vector<std::weak_ptr<Sequence>> parked_;  // the oldest first
  Prompts prompts_;
  ClientShares clients_;  // of the step that is planned
  std::vector<BlockTable::Copy> copies_;
  Statistics statistics_;
};

}  // namespace tessera
