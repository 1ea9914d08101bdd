#include "engine/engine.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <exception>
#include <iterator>
#include <limits>
#include <utility>

#include "base/assert.h"
#include "base/error.h"
#include "base/timer.h"
#include "engine/adapters.h"

namespace tessera {

namespace {

// Of a step, for finding out what constraints allow, if that may keep another client waiting: more
// than forms that people write take, and little beside a step.
constexpr auto kMaskTime = std::chrono::milliseconds(1);

int limit(int asked, int most) {
  return asked > 0 ? std::min(asked, most) : most;
}

Scheduler::Limits scheduler_limits(const Model& model, const Engine::Options& options) {
  const Model::Limits& limits = model.limits();
  const int rows = limit(options.step_rows, limits.rows);
  return {.context = model.config().context,
          .rows = rows,
          .wanted_rows = limits.wanted_rows,
          .sequences = limit(options.sequences, std::numeric_limits<int>::max()),
          .prompt_rows = limit(options.prompt_rows, rows),
          .draft_budget = options.draft_budget};
}

// Of an engine that was not told: enough for some sequences.
int states_of(const Model& model, const Engine::Options& options) {
  constexpr int kSequences = 16;
  if (model.state_bytes() == 0) return 0;
  if (options.states > 0) return std::max(options.states, StateTable::kLeast);
  return static_cast<int>(StateTable::useful(limit(options.sequences, kSequences)));
}

std::vector<StateSave> saves_of(std::span<const StateTable::Save> saves) {
  std::vector<StateSave> result;
  for (const auto& [row, state] : saves) result.push_back({row, state});
  return result;
}

}  // namespace

Engine::Engine(Model& model, Options options, std::function<bool(Token)> is_end)
    : model_(model),
      options_(options),
      is_end_(std::move(is_end)),
      pool_(options.kv_blocks > 0 ? options.kv_blocks
                                  : blocks_for(model.config().context + options.draft_budget),
            kBlockTokens, states_of(model, options)),
      kv_(model.make_kv(pool_.capacity(), options.kv_format, pool_.states())),
      scheduler_(pool_, scheduler_limits(model, options)) {}

void Engine::validate(const Request& request) const {
  const Config& config = model_.config();
  const int prompt = static_cast<int>(request.prompt.size());
  if (request.pooling == Pooling::kNone) model_.require_logits();
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
  if (std::abs(request.priority) > kMaxPriority) {
    fail("the priority is {}, expected {} to {}", request.priority, -kMaxPriority, kMaxPriority);
  }
  request.sampling.validate();
  if (request.min_tokens < 0)
    fail("the least number of tokens is {}, expected 0 or more", request.min_tokens);
  for (const Token token : request.stop_tokens) {
    if (token < 0 || token >= config.vocabulary) {
      fail("stop token {} is outside the vocabulary of {}", token, config.vocabulary);
    }
  }
  if (request.prompt_logprobs_from < 0 || request.prompt_logprobs_from > prompt) {
    fail("log-probabilities from position {} on are asked for, the prompt has {} tokens",
         request.prompt_logprobs_from, prompt);
  }
  validate_adapters(request.adapters, model_.adapters());
  const Decoder decoder = parse_decoder(request.decoder);
  if (decoder.kind != nullptr && decoder.kind->needs_draft_model && options_.draft == nullptr)
    fail("the decoder '{}' needs a draft model, and none was loaded", decoder.kind->name);
  if (decoder.kind != nullptr && decoder.kind->needs_heads && options_.heads == nullptr)
    fail("the decoder '{}' needs Medusa heads, and none were loaded", decoder.kind->name);
  if (decoder.kind != nullptr && decoder.kind->needs_next_tokens && options_.next_tokens == nullptr)
    fail("the decoder '{}' needs a layer for further tokens (--mtp, --eagle), and none was loaded",
         decoder.kind->name);
  request.beams.validate();
  if (request.beams.width > 1) validate_beams(request);
}

std::shared_ptr<Sequence> Engine::add(Request request, const std::shared_ptr<Sequence>& sibling) {
  if (request.beams.width > 1) return add_beams(std::move(request), sibling).front();
  validate(request);
  const auto sequence = make_sequence(std::move(request), sibling);
  const bool asks_nothing = !sequence->is_embedding() && !sequence->request.keeps_blocks &&
                            sequence->wanted_rows(sequence->pending()) == 0;
  if (asks_nothing) {
    sequence->finished = FinishReason::kLength;
  } else {
    scheduler_.add(sequence);
  }
  return sequence;
}

std::shared_ptr<Sequence> Engine::make_sequence(Request request,
                                                const std::shared_ptr<Sequence>& sibling) {
  if (sibling != nullptr && sibling->request.cache_salt != request.cache_salt)
    fail("a sequence cannot share what another salt keeps apart");
  ban_early_ends(request);
  auto sequence = std::make_shared<Sequence>(std::move(request), pool_, requests_++);
  sequence->reads_ahead = model_.config().bidirectional;
  const Request& asked = sequence->request;
  const Decoder decoder = parse_decoder(asked.decoder);
  sequence->drafter = drafter_of(decoder);
  if (const auto typical = decoder.values.find("typical"); typical != decoder.values.end())
    sequence->typical = {typical->second, decoder.values.find("delta")->second};
  if (sequence->drafter != nullptr) {
    sequence->draft_state =
        sequence->drafter->start({decoder.values, asked.cache_salt, asked.prediction});
  }
  // What other adapters have computed is none of this text's.
  if (sibling != nullptr && sibling->request.adapters == asked.adapters) {
    sequence->sibling = sibling;
    sibling->is_branched = true;
  }
  return sequence;
}

void Engine::ban_early_ends(Request& request) {
  if (request.min_tokens == 0) return;
  const auto until = static_cast<size_t>(request.min_tokens);
  for (const Token token : request.stop_tokens) request.bans.push_back({{token}, until});
  if (request.ignore_eos) return;
  for (const Token token : ends()) request.bans.push_back({{token}, until});
}

const std::vector<Token>& Engine::ends() {
  if (!ends_) {
    ends_.emplace();
    for (Token token = 0; token < model_.config().vocabulary; ++token) {
      if (is_end_(token)) ends_->push_back(token);
    }
  }
  return *ends_;
}

std::shared_ptr<Drafter> Engine::drafter_of(const Decoder& decoder) {
  if (decoder.kind == nullptr) return nullptr;
  std::shared_ptr<Drafter>& drafter = drafters_[decoder.kind];
  if (drafter == nullptr) {
    drafter = decoder.kind->make({.model = model_,
                                  .draft = options_.draft,
                                  .kv_blocks = pool_.capacity(),
                                  .bridge = options_.draft_bridge,
                                  .heads = options_.heads,
                                  .next_tokens = options_.next_tokens});
  }
  return drafter;
}

void Engine::cancel(Sequence& sequence) {
  if (sequence.finished != FinishReason::kNone) return;
  if (sequence.group != nullptr) {
    end_group(*sequence.group, FinishReason::kCancelled);
  } else {
    finish(sequence, FinishReason::kCancelled);
  }
}

Engine::Statistics Engine::statistics() const {
  Statistics all = statistics_;
  static_cast<Scheduler::Statistics&>(all) = scheduler_.statistics();
  return all;
}

namespace {

// What the shares would be without what is drafted.
StepPlan plan_of(std::span<const Scheduler::Share> shares, const StepCost& cost, int prompt_rows) {
  StepPlan plan{.cost = cost, .rows = prompt_rows};
  for (const Scheduler::Share& share : shares) {
    if (share.sequence->is_decoding()) ++plan.answers;
    plan.rows += share.tree.size() > 0 ? 1 : share.chunk;
  }
  return plan;
}

int rows_of(std::span<const Scheduler::Share> shares) {
  int rows = 0;
  for (const Scheduler::Share& share : shares) rows += share.rows();
  return rows;
}

}  // namespace

bool Engine::step() {
  std::vector<Scheduler::Share> shares = scheduler_.begin();
  draft(shares, plan_of(shares, cost_, scheduler_.prompt_rows()));
  scheduler_.end(shares);
  if (shares.empty()) {
    if (!scheduler_.awaits_masks()) return false;
    masks_.wait();
    return true;
  }
  const Timer timer;
  auto [ranges, choices, logits] = compute_without_failing(shares);
  if (shares.empty()) return true;
  const StepPlan plan = plan_of(shares, cost_, 0);
  for (size_t i = 0; i < shares.size(); ++i) {
    if (shares[i].sequence->finished != FinishReason::kNone) continue;  // with its group
    try {
      commit(shares[i], ranges[i], choices[i]);
    } catch (...) {
      choices[i].kept = 0;
      fail_sequence(*shares[i].sequence, std::current_exception());
    }
  }
  advance_groups();
  const double seconds = timer.seconds();
  cost_.observe(rows_of(shares), seconds);
  StepRows rows(model_, logits, plan, seconds);
  observe(shares, ranges, choices, rows);
  return true;
}

Engine::Computed Engine::compute(std::span<const Scheduler::Share> shares) {
  Computed computed;
  Batch batch;
  for (const Scheduler::Share& share : shares) computed.ranges.push_back(add_rows(share, batch));
  computed.logits = model_.forward(batch, *kv_);
  computed.choices = choose(shares, computed.ranges, model_.backend().download(computed.logits));
  ++statistics_.steps;
  return computed;
}

// Nothing is committed before all is computed, so it can be computed again for fewer rows.
Engine::Computed Engine::compute_without_failing(std::vector<Scheduler::Share>& shares) {
  const std::vector<BlockTable::Copy> copies = scheduler_.take_copies();
  while (!shares.empty()) {
    try {
      copy_blocks(copies);
      return compute(shares);
    } catch (...) {
      give_way(shares, std::current_exception());
    }
  }
  return {};
}

// Memory ran out, as a rule, and who needed too much of it cannot be known. Drafts are a luxury;
// and with the others alone, the steps before went well.
void Engine::give_way(std::vector<Scheduler::Share>& shares, std::exception_ptr failure) {
  const auto has_drafts = [](const Scheduler::Share& share) { return share.tree.size() > 0; };
  if (std::ranges::any_of(shares, has_drafts)) {
    for (Scheduler::Share& share : shares) {
      if (!has_drafts(share)) continue;
      share.tree = {}, share.chunk = 1;
      const bool planned = share.plan_states();  // it has given back as many
      TESSERA_ASSERT(planned);
    }
    return;
  }
  const auto newest = std::ranges::max_element(
      shares, {}, [](const Scheduler::Share& share) { return share.sequence->id; });
  fail_sequence(*newest->sequence, std::move(failure));
  std::erase_if(shares, [](const Scheduler::Share& share) {  // and all beams of its search
    return share.sequence->finished != FinishReason::kNone;
  });
}

void Engine::copy_blocks(std::span<const BlockTable::Copy> copies) {
  std::vector<int32_t> from, to;
  for (const BlockTable::Copy& copy : copies) {
    for (int slot = 0; slot < kBlockTokens; ++slot) {
      from.push_back(copy.from * kBlockTokens + slot);
      to.push_back(copy.to * kBlockTokens + slot);
    }
  }
  if (!from.empty()) model_.backend().copy_kv(*kv_, from, to);
}

// Choosing touches nothing but the sequence's own sampler, so it is done on all threads of the
// pool.
std::vector<Engine::Choice> Engine::choose(std::span<const Scheduler::Share> shares,
                                           std::span<const RowRange> ranges, HostRows logits) {
  std::vector<Choice> choices(shares.size());
  const Deadline deadline = scheduler_.has_several_clients() ? Deadline::in(kMaskTime) : Deadline();
  const auto choose_one = [&](int i, int) {
    const auto index = static_cast<size_t>(i);
    try {
      choices[index] = choose(shares[index], ranges[index], logits, deadline);
    } catch (...) {
      choices[index].failure = std::current_exception();
    }
  };
  const int count = static_cast<int>(shares.size());
  if (options_.pool != nullptr) {
    options_.pool->parallel_for(count, choose_one);
  } else {
    for (int i = 0; i < count; ++i) choose_one(i, 0);
  }
  return choices;
}

Engine::Choice Engine::choose(const Scheduler::Share& share, RowRange range, HostRows logits,
                              Deadline deadline) {
  Sequence& sequence = *share.sequence;
  const int top = sequence.request.top_logprobs;
  Choice choice;
  const auto [first, count] = sequence.prompt_rows(share.chunk);
  for (int i = 0; i < count; ++i) {
    const auto row = logits.row(range.prompt_wanted + i);
    choice.prompt_logprobs.push_back(find_logprobs(row, sequence.tokens[first + i + 1], top));
  }
  if (range.first_wanted < 0 || sequence.awaits_mask) return choice;
  if (sequence.group != nullptr) {
    const auto answer = std::span(sequence.tokens).subspan(sequence.prompt_size());
    if (sequence.sampler.prepare(answer, deadline))
      choice.next = sequence.group->look(sequence, logits.row(range.first_wanted));
    return choice;
  }

  const TokenTree single{.tokens = {sequence.tokens.back()}, .parents = {-1}};
  const TokenTree& tree = share.tree.size() > 0 ? share.tree : single;
  const HostRows rows = logits.middle(range.first_wanted, tree.size());
  choice.verified = verify(tree, rows, sequence.sampler, sequence.tokens, sequence.prompt_size(),
                           deadline, sequence.typical);
  const auto& [tokens, path, next_is_known] = choice.verified;
  if (!tokens.empty() && std::isnan(rows.row(path[0])[static_cast<size_t>(tokens[0])]))
    fail("the model answers with what is no number (NaN): its weights are broken");
  for (size_t i = 0; i < tokens.size() && top >= 0; ++i) {
    choice.logprobs.push_back(find_logprobs(rows.row(path[i]), tokens[i], top));
  }
  return choice;
}

Engine::RowRange Engine::add_rows(const Scheduler::Share& share, Batch& batch) const {
  const Sequence& sequence = *share.sequence;
  RowRange range{.first_row = batch.rows(), .first_position = sequence.computed};
  const StateTable& states = sequence.blocks.states;
  const int32_t from = states.current().value_or(kNoState);
  if (share.tree.size() > 0) {
    range.first_wanted = static_cast<int>(batch.wanted.size());
    batch.add_tree(share.tree.tokens, share.tree.parents, sequence.computed,
                   sequence.blocks.blocks(), &sequence.request.adapters, from);
    for (int row = range.first_row; row < batch.rows(); ++row) batch.wanted.push_back(row);
  } else {
    const auto chunk = std::span(sequence.tokens).subspan(sequence.computed, share.chunk);
    if (sequence.reads_ahead) {
      batch.add_text(chunk, sequence.blocks.blocks(), &sequence.request.adapters);
    } else {
      batch.add_chain(chunk, sequence.computed, sequence.blocks.blocks(),
                      &sequence.request.adapters,
                      {.from = from, .saves = saves_of(states.chain_saves())});
    }
    range.prompt_wanted = static_cast<int>(batch.wanted.size());
    const auto [first, count] = sequence.prompt_rows(share.chunk);
    for (int i = 0; i < count; ++i)
      batch.wanted.push_back(range.first_row + first - sequence.computed + i);
    if (share.chunk == sequence.pending() && sequence.generates()) {
      range.first_wanted = static_cast<int>(batch.wanted.size());
      batch.wanted.push_back(batch.rows() - 1);
    }
  }
  return range;
}

namespace {

// A tree was verified, and `accepted` of its drafted nodes were right.
void count_depths(const TokenTree& tree, int accepted,
                  std::vector<SequenceStatistics::Depth>& depths) {
  std::vector<int> depth_of(static_cast<size_t>(tree.size()));
  int deepest = 0;
  for (int node = 1; node < tree.size(); ++node) {
    depth_of[node] = depth_of[tree.parents[node]] + 1;
    deepest = std::max(deepest, depth_of[node]);
  }
  if (std::ssize(depths) < deepest) depths.resize(static_cast<size_t>(deepest));
  for (int depth = 0; depth < deepest; ++depth) {
    ++depths[depth].drafted;
    if (depth < accepted) ++depths[depth].accepted;
  }
}

}  // namespace

void Engine::commit(const Scheduler::Share& share, RowRange range, Choice& choice) {
  Sequence& sequence = *share.sequence;
  if (choice.failure) std::rethrow_exception(choice.failure);
  std::ranges::move(choice.prompt_logprobs, std::back_inserter(sequence.prompt_logprobs));
  if (sequence.group != nullptr) {
    if (range.first_wanted >= 0 && choice.next.tokens.empty()) return postpone(share);
    sequence.computed += share.chunk;
    sequence.blocks.publish(std::span(sequence.tokens).first(sequence.computed));
    if (range.first_wanted >= 0) sequence.group->take(sequence, std::move(choice.next));
    return;
  }
  if (range.first_wanted >= 0) {
    if (choice.verified.tokens.empty()) return postpone(share);
    const std::vector<int32_t>& path = choice.verified.path;
    move_accepted(sequence, path);
    if (share.tree.size() > 0) ++statistics_.drafts;
    count_depths(share.tree, static_cast<int>(path.size()) - 1, sequence.statistics.depths);
    accept(share, range, choice);
    return;
  }
  if (sequence.is_embedding()) pool_hidden(sequence, range.first_row, share.chunk);
  sequence.computed += share.chunk;
  if (!sequence.reads_ahead)
    sequence.blocks.publish(std::span(sequence.tokens).first(sequence.computed));
  if (sequence.pending() == 0) {
    finish(sequence, sequence.is_embedding() ? FinishReason::kStop : FinishReason::kLength);
  }
}

// Keys and values of the accepted path move to where its logical positions are. Node i is never
// left of its depth, so copying in ascending order overwrites nothing that is still to be read.
void Engine::move_accepted(Sequence& sequence, const std::vector<int32_t>& path) {
  std::vector<int32_t> from, to;
  for (int depth = 1; depth < static_cast<int>(path.size()); ++depth) {
    if (path[depth] == depth) continue;
    from.push_back(sequence.blocks.slot(sequence.computed + path[depth]));
    to.push_back(sequence.blocks.slot(sequence.computed + depth));
  }
  if (!from.empty()) model_.backend().copy_kv(*kv_, from, to);
}

// The states behind a tree's accepted path, which are known only now.
void Engine::keep_states(const Sequence& sequence, RowRange range, std::span<const int32_t> path,
                         std::span<const StateTable::Save> saves) {
  if (saves.empty()) return;
  const std::vector<StateSave> kept = saves_of(saves);
  const StatePath one{.first_row = range.first_row,
                      .from = sequence.blocks.states.current().value_or(kNoState),
                      .nodes = path,
                      .saves = kept};
  model_.keep_states(*kv_, std::span(&one, 1));
}

void Engine::accept(const Scheduler::Share& share, RowRange range, Choice& choice) {
  Sequence& sequence = *share.sequence;
  const int before = sequence.computed;
  FinishReason reason = FinishReason::kNone;
  size_t kept = 0;
  while (kept < choice.verified.tokens.size() && reason == FinishReason::kNone) {
    const Token token = choice.verified.tokens[kept];
    if (!choice.logprobs.empty()) sequence.logprobs.push_back(std::move(choice.logprobs[kept]));
    ++kept;
    sequence.tokens.push_back(token);
    if (is_end_(token) && !sequence.request.ignore_eos) {
      const auto answer = std::span(sequence.tokens).subspan(sequence.prompt_size());
      const bool complete = sequence.sampler.completes(answer.first(answer.size() - 1));
      reason = complete ? FinishReason::kStop : FinishReason::kLength;
    } else if (sequence.is_stop(token)) {
      reason = FinishReason::kStop;
    } else if (sequence.generated() == sequence.request.max_tokens ||
               sequence.size() > model_.config().context) {
      reason = FinishReason::kLength;
    }
  }
  choice.kept = kept;
  ++sequence.statistics.steps;
  sequence.statistics.accepted += static_cast<int>(kept) - 1;
  const size_t drafted = kept - 1;
  statistics_.accepted += drafted;
  for (size_t i = 0; i < std::min(drafted, statistics_.accepted_at.size()); ++i)
    ++statistics_.accepted_at[i];
  statistics_.generated_tokens += kept;
  // The last token that is kept is not computed yet, whatever was verified behind it.
  const int accepted =
      share.chunk > 0 ? share.chunk : static_cast<int>(choice.verified.path.size());
  sequence.computed = std::min(before + accepted, sequence.size() - 1);
  if (share.tree.size() > 0) {
    const int length = sequence.computed - before;
    keep_states(sequence, range, std::span(choice.verified.path).first(length),
                sequence.blocks.states.path_saves(length));
  }
  sequence.blocks.publish(std::span(sequence.tokens).first(sequence.computed));

  const auto committed = std::span(sequence.tokens).last(kept);
  // A stop string wins over the length, whichever step either was reached in.
  if (sequence.request.on_tokens && !sequence.request.on_tokens(committed)) {
    reason = FinishReason::kStop;
  }
  if (reason != FinishReason::kNone) {
    finish(sequence, reason);
  } else if (!choice.verified.next_is_known) {
    find_mask(sequence);
  }
}

// What may come next is not known yet: the last row is computed again when it is.
void Engine::postpone(const Scheduler::Share& share) {
  Sequence& sequence = *share.sequence;
  const int before_last = sequence.computed + std::max(share.chunk - 1, 0);
  if (sequence.blocks.states.can_advance(before_last)) sequence.computed = before_last;
  sequence.blocks.publish(std::span(sequence.tokens).first(sequence.computed));
  if (sequence.mask_work == nullptr) find_mask(sequence);
}

void Engine::find_mask(Sequence& sequence) {
  const auto answer = std::span(sequence.tokens).subspan(sequence.prompt_size());
  sequence.mask_work = masks_.add(sequence.request.client, sequence.sampler.constraint(answer));
}

// Sums in the order of positions, so that the chunks make no difference.
void Engine::pool_hidden(Sequence& sequence, int first_row, int rows) {
  const Pooling pooling = sequence.request.pooling;
  const bool first = sequence.computed == 0;
  const bool last = sequence.computed + rows == sequence.size();
  if ((pooling == Pooling::kLast && !last) || (pooling == Pooling::kCls && !first)) {
    rows = 0;
  } else if (pooling != Pooling::kMean) {
    if (pooling == Pooling::kLast) first_row += rows - 1;
    rows = 1;
  }
  if (rows > 0) {
    const HostRows hidden = model_.backend().download(model_.hidden_states(first_row, rows));
    sequence.hidden_sum.resize(hidden.columns);
    for (int r = 0; r < rows; ++r) {
      for (int c = 0; c < hidden.columns; ++c) sequence.hidden_sum[c] += hidden.row(r)[c];
    }
  }
  if (!last) return;
  const double count = pooling == Pooling::kMean ? sequence.size() : 1;
  for (const double sum : sequence.hidden_sum) {
    sequence.embedding.push_back(static_cast<float>(sum / count));
  }
  model_.embed_pooled(sequence.embedding);
}

void Engine::fail_sequence(Sequence& sequence, std::exception_ptr failure) {
  if (sequence.group != nullptr) {
    end_group(*sequence.group, FinishReason::kFailed, std::move(failure));
    return;
  }
  sequence.failure = std::move(failure);
  finish(sequence, FinishReason::kFailed);
}

void Engine::finish(Sequence& sequence, FinishReason reason) {
  sequence.finished = reason;
  sequence.mask_work = nullptr;
  const bool is_whole = reason == FinishReason::kStop || reason == FinishReason::kLength;
  if (sequence.request.keeps_blocks && is_whole) {
    scheduler_.park(sequence.shared_from_this());
  } else {
    sequence.blocks.clear();
    sequence.computed = 0;
  }
}

}  // namespace tessera
