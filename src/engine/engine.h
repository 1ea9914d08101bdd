// The step loop: continuous batching (Orca, Yu et al. 2022) of prompt chunks and token trees from
// all sequences over one paged KV store.
//
// By exactness, what a sequence answers does not depend on its company, on preemption, or on what
// the prefix cache held. Not thread-safe: one thread owns an engine.
#pragma once

#include <functional>
#include <list>
#include <memory>

#include "cache/block_pool.h"
#include "engine/sequence.h"
#include "model/model.h"

namespace tessera {

class Engine {
 public:
  struct Options {
    KvFormat kv_format = KvFormat::kF16;
    int kv_blocks = 0;      // 0: one sequence of the model's context
    int draft_budget = 15;  // drafted tokens of one sequence in a step
  };

  // is_end(token): the token ends an answer.
  Engine(Model& model, Options options, std::function<bool(Token)> is_end);

  // Queues a request. Throws Error if it can never run: an empty prompt, a token outside the
  // vocabulary, a prompt that does not fit the context or the KV store.
  std::shared_ptr<Sequence> add(Request request);
  // Stops a sequence before the next step and frees its blocks.
  void cancel(Sequence& sequence);

  // One forward pass over whatever is due. False if there was nothing to do.
  bool step();
  void run_to_end() {
    while (step()) {
    }
  }

  int preemptions() const { return preemptions_; }
  const BlockPool& pool() const { return pool_; }
  const Model& model() const { return model_; }

 private:
  // A sequence's share of a step: some pending tokens, or its last token with drafts below it.
  struct Share {
    std::shared_ptr<Sequence> sequence;
    TokenTree tree;         // empty for a chunk
    int chunk = 0;          // tokens of a chunk
    int first_wanted = -1;  // row of the logits; -1: a chunk that ends before the last token
  };
  void admit();
  std::vector<Share> schedule();
  bool reserve(Sequence& sequence, int tokens);
  bool preempt_youngest(const Sequence& keep);
  void commit(Share& share, Tensor logits);
  void accept(Sequence& sequence, const Verified& verified);
  void finish(Sequence& sequence, FinishReason reason);

  Model& model_;
  Options options_;
  std::function<bool(Token)> is_end_;
  BlockPool pool_;
  std::unique_ptr<KvStore> kv_;
  std::list<std::shared_ptr<Sequence>> waiting_, running_;  // oldest first
  int preemptions_ = 0;
};

}  // namespace tessera
