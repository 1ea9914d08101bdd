// One text being generated.
#pragma once

#include <algorithm>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cache/block_table.h"
#include "decode/beam_search.h"
#include "decode/decoder.h"
#include "decode/logprobs.h"
#include "decode/sampler.h"
#include "decode/typical.h"
#include "engine/finish_reason.h"
#include "engine/mask_worker.h"
#include "model/batch.h"
#include "model/pooling.h"

namespace tessera {

struct Request {
  std::vector<Token> prompt;  // at least one token
  int max_tokens = 0;         // 0: none are generated
  bool ignore_eos = false;
  // Before it has so many tokens, none comes that would end the answer, and no text ends it.
  int min_tokens = 0;
  std::vector<Token> stop_tokens = {};  // which end the answer as well
  SamplingOptions sampling = {};
  // More than one beam: a search, see Engine::add_beams().
  BeamOptions beams = {};
  // Of a beam search: whether an answer ends with its last token for another reason than a token
  // that ends answers, as where a stop text is whole. May be empty. `answer`: generated tokens.
  std::function<bool(std::span<const Token> answer)> ends_text = {};
  std::shared_ptr<const ConstraintSource> constraint = {};  // what the answer must keep to, if any
  std::vector<Ban> bans = {};
  std::string decoder{kPlainDecoder};
  std::vector<Token> prediction = {};  // what the answer is expected to resemble; for drafters
  // Whose request it is: clients have equal shares (engine/fair_order.h, client_shares.h).
  std::string client = {};
  // Smaller is sooner: one more is like having come behind kPriorityStep more tokens of the
  // client's own, so that nobody is overtaken for ever.
  int priority = 0;
  // Prefixes are shared only between requests with the same salt.
  std::string cache_salt = {};
  // Low-rank adapters that the text goes through. Prefixes are shared only between requests with
  // the same ones.
  AdapterMix adapters = {};
  // Of each generated token: -1 for none, else so many of the likeliest tokens beside it.
  int top_logprobs = -1;
  // Of the prompt's tokens from this position (at least 1) on as well, even if nothing is
  // generated; 0: none. From the token before it on, the prompt is computed whatever the cache
  // holds.
  int prompt_logprobs_from = 0;
  // Other than kNone: the request asks for an embedding of the prompt and generates nothing.
  Pooling pooling = Pooling::kNone;
  // Keys and values stay when it has finished, for others to fork from, until memory is needed or
  // the sequence is gone. The prompt is computed even if nothing is asked of it.
  bool keeps_blocks = false;
  // Receives the tokens of each step; returning false stops the sequence (a stop string was seen).
  std::function<bool(std::span<const Token>)> on_tokens = {};
};

// Names a mix, exactly; "" for none.
std::string variant_of(const AdapterMix& adapters);

inline constexpr int kPriorityStep = 1 << 14;
inline constexpr int kMaxPriority = 1000;  // and -kMaxPriority

struct SequenceStatistics {
  int cached_tokens = 0;  // of the prompt, found in the prefix cache
  int steps = 0;          // forward passes that gave tokens
  int drafted = 0, accepted = 0;
  // Steps that drafted so deep at least, and whose accepted run came as deep: [depth - 1].
  struct Depth {
    int drafted = 0, accepted = 0;
  };
  std::vector<Depth> depths = {};
  int preemptions = 0;
};

class BeamGroup;

struct Sequence : std::enable_shared_from_this<Sequence> {
  Sequence(Request r, BlockPool& pool, int64_t number)
      : request(std::move(r)),
        id(number),
        tokens(request.prompt),
        sampler(request.sampling, request.constraint, request.bans),
        blocks(pool, pool.root(request.cache_salt, variant_of(request.adapters))) {}

  int size() const { return static_cast<int>(tokens.size()); }
  size_t prompt_size() const { return request.prompt.size(); }
  int generated() const { return static_cast<int>(tokens.size() - request.prompt.size()); }
  // Tokens whose keys and values are still missing; at least the last one, whose logits give the
  // next.
  int pending() const { return size() - computed; }
  bool is_embedding() const { return request.pooling != Pooling::kNone; }
  // Whether the next step gives it a token (or several), rather than computes more of its prompt.
  bool is_decoding() const { return !rests && pending() == 1 && generates(); }
  bool generates() const { return !is_embedding() && request.max_tokens > 0; }
  bool is_stop(Token token) const {
    return std::ranges::find(request.stop_tokens, token) != request.stop_tokens.end();
  }

  // Of the next `chunk` pending tokens, the first and how many tell of prompt tokens that follow
  // and whose logprobs are still missing.
  struct PromptRows {
    int first, count;
  };
  PromptRows prompt_rows(int chunk) const {
    if (request.prompt_logprobs_from == 0) return {0, 0};
    const int known = static_cast<int>(prompt_logprobs.size());
    const int first = std::max(computed, request.prompt_logprobs_from - 1 + known);
    const int end = std::min(computed + chunk, static_cast<int>(prompt_size()) - 1);
    return {first, std::max(0, end - first)};
  }
  // Its turn, moved by its priority. The smaller, the sooner it is served and the later preempted;
  // no two are equal.
  std::pair<int64_t, int64_t> rank() const {
    return {turn + int64_t{kPriorityStep} * request.priority, id};
  }
  // How many of the next `chunk` pending tokens must give logits.
  int wanted_rows(int chunk) const {
    return prompt_rows(chunk).count + (chunk == pending() && generates() ? 1 : 0);
  }
  // Leading tokens that may be taken from the cache; what lies behind must be computed, at least
  // the last token.
  int adoptable() const {
    if (reads_ahead || request.pooling == Pooling::kMean || request.pooling == Pooling::kCls)
      return 0;
    const auto [first, count] = prompt_rows(pending());
    return count > 0 ? first : size() - 1;
  }

  Request request;
  int64_t id;                 // counts the requests
  int64_t turn = 0;           // in the order of clients (engine/fair_order.h)
  int64_t charged = 0;        // what it has cost its client there so far
  std::vector<Token> tokens;  // prompt and answer
  int computed = 0;           // leading tokens whose keys and values are in the cache
  Sampler sampler;
  std::shared_ptr<Drafter> drafter;  // nullptr: plain
  std::unique_ptr<DraftState> draft_state;
  TypicalAcceptance typical;  // of what it drafts; off: exact
  // Another sequence that begins with the same prompt, if one was named: where its keys and values
  // are there, they are shared to the last token.
  std::weak_ptr<const Sequence> sibling;
  BlockTable blocks;
  bool admitted = false;  // at least once; preemption does not take it back
  bool running = false;
  bool is_branched = false;  // somebody may go on from its prompt's last token
  // Of a beam search whose beams go on together, until it is over (engine/beam_group.h).
  BeamGroup* group = nullptr;
  // Of a bidirectional model: all of the text is computed in one step, and nothing of it is what
  // another text could take over.
  bool reads_ahead = false;
  bool rests = false;  // needs no rows until the others of its group have come as far
  // What its next token waits for, if its constraint takes longer than others should wait. The
  // sampler is left alone meanwhile. `awaits_mask` is looked at once a step, by the scheduler.
  std::shared_ptr<const MaskWork> mask_work;
  bool awaits_mask = false;
  FinishReason finished = FinishReason::kNone;
  std::exception_ptr failure;  // of kFailed
  SequenceStatistics statistics;
  std::vector<TokenLogprobs> prompt_logprobs;  // from where they are asked for on
  std::vector<TokenLogprobs> logprobs;         // of the generated tokens, if asked for
  double score = 0;                            // of a beam search's answer, once finished
  std::vector<double> hidden_sum;              // of an embedding's computed tokens, for the mean
  std::vector<float> embedding;                // once finished
};

}  // namespace tessera
