#include "engine/engine.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace tessera {

const char* to_string(FinishReason reason) {
  switch (reason) {
    case FinishReason::kNone:
      return "none";
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCancelled:
      return "cancelled";
  }
  return "none";
}

Engine::Engine(Model& model, Options options, std::function<bool(Token)> is_end)
    : model_(model),
      options_(options),
      is_end_(std::move(is_end)),
      pool_(options.kv_blocks > 0 ? options.kv_blocks
                                  : blocks_for(model.config().context + options.draft_budget),
            kBlockTokens),
      kv_(model.make_kv(pool_.capacity(), options.kv_format)) {}

std::shared_ptr<Sequence> Engine::add(Request request) {
  const Config& config = model_.config();
  const int prompt = static_cast<int>(request.prompt.size());
  if (prompt == 0) fail("the prompt is empty: it has no tokens");
  for (const Token token : request.prompt) {
    if (token < 0 || token >= config.vocabulary) {
      fail("token {} is outside the vocabulary of {}", token, config.vocabulary);
    }
  }
  if (prompt > config.context) {
    fail("the prompt has {} tokens, the context holds {}", prompt, config.context);
  }
  if (request.max_tokens < 0)
    fail("the number of tokens to generate is {}, expected 0 or more", request.max_tokens);
  const int longest = prompt + std::min(request.max_tokens, config.context - prompt);
  if (blocks_for(longest) > pool_.capacity()) {
    fail("a text of {} tokens needs {} KV blocks, there are {}", longest, blocks_for(longest),
         pool_.capacity());
  }
  auto sequence = std::make_shared<Sequence>(std::move(request), pool_);
  if (sequence->request.max_tokens == 0) {
    sequence->finished = FinishReason::kLength;
  } else {
    waiting_.push_back(sequence);
  }
  return sequence;
}

void Engine::cancel(Sequence& sequence) {
  if (sequence.finished == FinishReason::kNone) finish(sequence, FinishReason::kCancelled);
}

bool Engine::step() {
  const auto is_finished = [](const auto& sequence) {
    return sequence->finished != FinishReason::kNone;
  };
  waiting_.remove_if(is_finished);
  running_.remove_if(is_finished);
  admit();
  std::vector<Share> shares = schedule();
  if (shares.empty()) return false;

  Batch batch;
  for (Share& share : shares) {
    Sequence& sequence = *share.sequence;
    const int first_row = batch.rows();
    if (share.tree.size() > 0) {
      share.first_wanted = static_cast<int>(batch.wanted.size());
      batch.add_tree(share.tree.tokens, share.tree.parents, sequence.computed,
                     sequence.blocks.blocks());
      for (int row = first_row; row < batch.rows(); ++row) batch.wanted.push_back(row);
    } else {
      batch.add_chain(std::span(sequence.tokens).subspan(sequence.computed, share.chunk),
                      sequence.computed, sequence.blocks.blocks());
      if (share.chunk == sequence.pending()) {
        share.first_wanted = static_cast<int>(batch.wanted.size());
        batch.wanted.push_back(batch.rows() - 1);
      }
    }
  }
  const Tensor logits = model_.forward(batch, *kv_);
  for (Share& share : shares) commit(share, logits);
  return true;
}

// A waiting sequence starts when the blocks of its whole prompt are there; first come, first
// served.
void Engine::admit() {
  int promised = 0;  // to sequences that run, and have not taken all of it yet
  for (const auto& sequence : running_) {
    const int taken = static_cast<int>(sequence->blocks.blocks().size());
    promised += std::max(0, blocks_for(sequence->size()) - taken);
  }
  while (!waiting_.empty()) {
    const auto sequence = waiting_.front();
    const int needed = blocks_for(sequence->size());
    if (needed > pool_.available() - promised && !running_.empty()) return;
    promised += needed;  // an adopted prefix may make it less
    sequence->computed = sequence->blocks.adopt_prefix(sequence->tokens);
    if (!sequence->admitted) sequence->statistics.cached_tokens = sequence->computed;
    sequence->admitted = true;
    waiting_.pop_front();
    running_.push_back(sequence);
  }
}

std::vector<Engine::Share> Engine::schedule() {
  int rows = model_.limits().rows, wanted = model_.limits().wanted_rows;
  std::vector<Share> shares;
  // Preemption takes sequences off the end of running_, so the list is walked by position.
  for (auto it = running_.begin(); it != running_.end() && rows > 0 && wanted > 0; ++it) {
    Share share;
    share.sequence = *it;
    Sequence& sequence = **it;
    if (sequence.pending() > 1 || sequence.drafter == nullptr) {
      share.chunk = std::min(sequence.pending(), rows);
    } else {
      const int room = std::min({options_.draft_budget, rows - 1, wanted - 1,
                                 sequence.request.max_tokens - sequence.generated() - 1,
                                 model_.config().context - sequence.size()});
      share.tree.tokens.push_back(sequence.tokens.back());
      share.tree.parents.push_back(-1);
      if (room > 0) {
        const TokenTree draft = sequence.drafter->propose(sequence.tokens, room);
        share.tree.tokens.insert(share.tree.tokens.end(), draft.tokens.begin(), draft.tokens.end());
        for (const int32_t parent : draft.parents) share.tree.parents.push_back(parent + 1);
      }
    }
    if (share.tree.size() > 1 && !sequence.blocks.reserve(sequence.computed + share.tree.size())) {
      share.tree = {.tokens = {sequence.tokens.back()}, .parents = {-1}};  // drafts preempt nobody
    }
    const int share_rows = std::max(share.chunk, share.tree.size());
    if (!reserve(sequence, sequence.computed + share_rows)) break;
    sequence.statistics.drafted += std::max(0, share.tree.size() - 1);
    rows -= share_rows;
    wanted -= std::max(1, share.tree.size());
    shares.push_back(std::move(share));
  }
  return shares;
}

// Slots for `tokens` tokens, by preempting younger sequences if need be. False if this one itself
// is the youngest that could yield: then it waits for the older ones.
bool Engine::reserve(Sequence& sequence, int tokens) {
  while (!sequence.blocks.reserve(tokens)) {
    if (!preempt_youngest(sequence)) return false;
  }
  return true;
}

// Recomputation: the youngest sequence gives its blocks back and queues again, ahead of the others.
bool Engine::preempt_youngest(const Sequence& keep) {
  const auto youngest = running_.back();
  if (youngest.get() == &keep) return false;
  running_.pop_back();
  youngest->blocks.clear();
  youngest->computed = 0;
  waiting_.push_front(youngest);
  ++preemptions_;
  return true;
}

void Engine::commit(Share& share, Tensor logits) {
  Sequence& sequence = *share.sequence;
  if (share.first_wanted < 0) {
    sequence.computed += share.chunk;
    sequence.blocks.publish(std::span(sequence.tokens).first(sequence.computed));
    return;
  }
  const TokenTree single{.tokens = {sequence.tokens.back()}, .parents = {-1}};
  const TokenTree& tree = share.tree.size() > 0 ? share.tree : single;
  const Tensor rows{logits.row(share.first_wanted), tree.size(), logits.columns, logits.stride};
  const Verified verified =
      verify(tree, rows, sequence.sampler, sequence.tokens, sequence.prompt_size());

  // Keys and values of the accepted path move to where its logical positions are. Node i is never
  // left of its depth, so copying in ascending order overwrites nothing that is still to be read.
  std::vector<int32_t> from, to;
  for (int depth = 1; depth < static_cast<int>(verified.path.size()); ++depth) {
    if (verified.path[depth] == depth) continue;
    from.push_back(sequence.blocks.slot(sequence.computed + verified.path[depth]));
    to.push_back(sequence.blocks.slot(sequence.computed + depth));
  }
  if (!from.empty()) model_.backend().copy_kv(*kv_, from, to);
  sequence.computed += share.chunk > 0 ? share.chunk : static_cast<int>(verified.path.size());
  accept(sequence, verified);
}

void Engine::accept(Sequence& sequence, const Verified& verified) {
  FinishReason reason = FinishReason::kNone;
  size_t kept = 0;
  while (kept < verified.tokens.size() && reason == FinishReason::kNone) {
    const Token token = verified.tokens[kept++];
    sequence.tokens.push_back(token);
    if (is_end_(token) && !sequence.request.ignore_eos) {
      reason = FinishReason::kStop;
    } else if (sequence.generated() == sequence.request.max_tokens ||
               sequence.size() > model_.config().context) {
      reason = FinishReason::kLength;
    }
  }
  ++sequence.statistics.steps;
  sequence.statistics.accepted += static_cast<int>(kept) - 1;
  sequence.computed = std::min(sequence.computed, sequence.size() - 1);
  sequence.blocks.publish(std::span(sequence.tokens).first(sequence.computed));

  const auto committed = std::span(sequence.tokens).last(kept);
  // A stop string wins over the length, whichever step either was reached in.
  if (sequence.request.on_tokens && !sequence.request.on_tokens(committed)) {
    reason = FinishReason::kStop;
  }
  if (reason != FinishReason::kNone) finish(sequence, reason);
}

void Engine::finish(Sequence& sequence, FinishReason reason) {
  sequence.finished = reason;
  sequence.blocks.clear();
}

}  // namespace tessera
