// The step loop: continuous batching (Orca, Yu et al. 2022) of prompt chunks and token trees from
// all sequences over one paged KV store.
//
// By exactness, what a sequence answers does not depend on its company, on preemption, or on what
// the prefix cache held. Not thread-safe: one thread owns an engine.
#pragma once

#include <array>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/host_tensor.h"
#include "base/thread_pool.h"
#include "cache/block_pool.h"
#include "decode/drafter.h"
#include "decode/step_cost.h"
#include "decode/verify.h"
#include "engine/beam_group.h"
#include "engine/mask_worker.h"
#include "engine/scheduler.h"
#include "engine/sequence.h"
#include "model/model.h"

namespace tessera {

class Engine {
 public:
  struct Options {
    KvFormat kv_format = KvFormat::kF16;
    int kv_blocks = 0;      // 0: one sequence of the model's context
    int states = 0;         // of recurrent layers, if there are any; 0: enough for some sequences
    int draft_budget = 31;  // drafted tokens of one sequence in a step
    int sequences = 0;      // that run at once; 0: as many as the model's limits allow
    int step_rows = 0;      // of a step; 0: what the model's limits allow
    int prompt_rows = 0;    // of a step in which somebody decodes; 0: step_rows
    // A smaller model, for the decoders `draft` and `auto`, and the bridge to its vocabulary if
    // that is another one. Must outlive the engine; null: none.
    Model* draft = nullptr;
    const VocabularyBridge* draft_bridge = nullptr;
    // For the decoders `medusa` and `auto`, likewise.
    MedusaHeads* heads = nullptr;
    // For the decoders `mtp` and `auto`, likewise.
    NextTokens* next_tokens = nullptr;
    // Chooses the tokens of different sequences side by side; without one, the calling thread does.
    std::shared_ptr<ThreadPool> pool = nullptr;
  };
  struct Statistics : Scheduler::Statistics {
    uint64_t steps = 0;
    uint64_t generated_tokens = 0;
    uint64_t drafts = 0;    // trees that were verified
    uint64_t accepted = 0;  // drafted tokens
    // Of these, those that came so many tokens behind the last one; those further away not.
    std::array<uint64_t, 16> accepted_at = {};
  };

  // is_end(token): the token ends an answer.
  Engine(Model& model, Options options, std::function<bool(Token)> is_end);

  // Throws Error if the request can never run: an empty prompt, a token outside the vocabulary, a
  // prompt that does not fit the context or the KV store, a value out of range. Any thread may ask.
  void validate(const Request& request) const;
  // Queues a request that validate() accepts; Error otherwise. `sibling`: a sequence of this engine
  // that begins with the same tokens; what it has computed of them, or is about to, is shared,
  // block for block and copied on write, even if it ends in the middle of a block, unless it goes
  // through other adapters. So several
  // answers to one prompt compute it once, and a text forks where somebody kept its blocks.
  std::shared_ptr<Sequence> add(Request request,
                                const std::shared_ptr<Sequence>& sibling = nullptr);
  // A beam search (decode/beam_search.h), of request.beams.width beams: returns as many sequences,
  // which have their answers when all is over, the best first. Those beyond the texts that were
  // found finish with kNoAnswer. Their on_tokens, which may be set until then, are told of whole
  // answers. add() does the same and returns the best one.
  std::vector<std::shared_ptr<Sequence>> add_beams(
      Request request, const std::shared_ptr<Sequence>& sibling = nullptr);
  // The most tokens that validate() accepts as the request's max_tokens, at least 1: what the
  // context holds, and the KV store for all beams.
  int longest_answer(const Request& request) const;
  // Stops a sequence before the next step and frees its blocks; of a beam search all of them.
  void cancel(Sequence& sequence);

  // One forward pass over whatever is due. False if there was nothing to do. Where all wait for
  // what constraints allow, it waits for that instead, but not for long. What fails for one
  // sequence alone, in its constraint, its callback or for want of memory, ends that one only. A
  // step that fails as a whole is tried again without drafts, then without the newest sequence.
  bool step();
  Statistics statistics() const;
  const BlockPool& pool() const { return pool_; }
  const Scheduler& scheduler() const { return scheduler_; }
  const Model& model() const { return model_; }

 private:
  // Where the rows of a share are in the batch.
  struct RowRange {
    int first_row = 0;
    int first_position = 0;  // in the text
    int prompt_wanted = 0;   // first of the logits that tell of prompt tokens, if there are any
    int first_wanted = -1;   // -1: no token comes of it
  };
  // What a share's rows gave.
  struct Choice {
    std::vector<TokenLogprobs> prompt_logprobs;  // of those prompt tokens that a chunk tells of
    Verified verified;                           // empty if no token comes of it, or none yet
    std::vector<TokenLogprobs> logprobs;         // of the tokens, if asked for
    BeamGroup::Next next;                        // of a beam
    size_t kept = 0;                             // of the verified tokens: those before the end
    std::exception_ptr failure;
  };
  // What a step computed, share by share.
  struct Computed {
    std::vector<RowRange> ranges;
    std::vector<Choice> choices;
    Tensor logits;
  };
  Computed compute(std::span<const Scheduler::Share> shares);
  Computed compute_without_failing(std::vector<Scheduler::Share>& shares);
  void give_way(std::vector<Scheduler::Share>& shares, std::exception_ptr failure);
  RowRange add_rows(const Scheduler::Share& share, Batch& batch) const;
  std::vector<Choice> choose(std::span<const Scheduler::Share> shares,
                             std::span<const RowRange> ranges, HostRows logits);
  std::shared_ptr<Sequence> make_sequence(Request request,
                                          const std::shared_ptr<Sequence>& sibling);
  void validate_beams(const Request& request) const;
  int beam_blocks(const Request& request, int longest) const;
  void advance_groups();
  void end_group(BeamGroup& group, FinishReason reason, std::exception_ptr failure = nullptr);
  static Choice choose(const Scheduler::Share& share, RowRange range, HostRows logits,
                       Deadline deadline);
  void ban_early_ends(Request& request);
  const std::vector<Token>& ends();
  std::shared_ptr<Drafter> drafter_of(const Decoder& decoder);
  void draft(std::span<Scheduler::Share> shares, const StepPlan& plan);
  void draft_with(Drafter& drafter, std::span<Scheduler::Share* const> shares,
                  const StepPlan& plan);
  void dismiss(const Drafter& drafter, const std::exception& error);
  void copy_blocks(std::span<const BlockTable::Copy> copies);
  void observe(std::span<const Scheduler::Share> shares, std::span<const RowRange> ranges,
               std::span<const Choice> choices, StepRows& rows);
  void commit(const Scheduler::Share& share, RowRange range, Choice& choice);
  void move_accepted(Sequence& sequence, const std::vector<int32_t>& path);
  void accept(const Scheduler::Share& share, RowRange range, Choice& choice);
  void keep_states(const Sequence& sequence, RowRange range, std::span<const int32_t> path,
                   std::span<const StateTable::Save> saves);
  void postpone(const Scheduler::Share& share);
  void find_mask(Sequence& sequence);
  void pool_hidden(Sequence& sequence, int first_row, int rows);
  void finish(Sequence& sequence, FinishReason reason);
  void fail_sequence(Sequence& sequence, std::exception_ptr failure);

  Model& model_;
  Options options_;
  std::function<bool(Token)> is_end_;
  BlockPool pool_;
  std::unique_ptr<KvStore> kv_;
  StepCost cost_;
  std::map<const DrafterKind*, std::shared_ptr<Drafter>> drafters_;  // those in use
  std::optional<std::vector<Token>> ends_;  // the tokens of which is_end_ is true, once asked for
  Scheduler scheduler_;                     // whose sequences hold drafters' states
  std::vector<std::unique_ptr<BeamGroup>> groups_;
  MaskWorker masks_;
  int64_t requests_ = 0;
  Statistics statistics_;  // without the scheduler's
};

}  // namespace tessera
