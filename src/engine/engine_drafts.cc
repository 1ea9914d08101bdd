// The drafters' part of a step: what they propose, and what they are told of it.
#include <map>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/log.h"
#include "engine/engine.h"

namespace tessera {
namespace {

// The sequences that each drafter has among the shares, as indices of these.
std::map<Drafter*, std::vector<size_t>> by_drafter(std::span<const Scheduler::Share> shares) {
  std::map<Drafter*, std::vector<size_t>> groups;
  for (size_t i = 0; i < shares.size(); ++i) {
    if (shares[i].sequence->failure) continue;
    if (Drafter* drafter = shares[i].sequence->drafter.get()) groups[drafter].push_back(i);
  }
  return groups;
}

}  // namespace

void Engine::draft(std::span<Scheduler::Share> shares, const StepPlan& plan) {
  for (const auto& [drafter, indices] : by_drafter(shares)) {
    std::vector<Scheduler::Share*> drafting;
    for (const size_t i : indices) {
      if (shares[i].room > 0) drafting.push_back(&shares[i]);
    }
    if (drafting.empty()) continue;
    try {
      draft_with(*drafter, drafting, plan);
    } catch (const std::exception& error) {
      dismiss(*drafter, error);
    }
  }
}

// Hangs what is drafted below each sequence's last token.
void Engine::draft_with(Drafter& drafter, std::span<Scheduler::Share* const> shares,
                        const StepPlan& plan) {
  std::vector<DraftRequest> requests;
  for (const Scheduler::Share* share : shares) {
    const Sequence& sequence = *share->sequence;
    requests.push_back({.tokens = sequence.tokens,
                        .prompt_size = sequence.prompt_size(),
                        .sampler = &sequence.sampler,
                        .state = sequence.draft_state.get(),
                        .room = share->room});
  }
  drafter.propose(requests, plan);
  for (size_t i = 0; i < requests.size(); ++i) {
    const TokenTree& drafted = requests[i].tree;
    TokenTree tree;
    tree.add(shares[i]->sequence->tokens.back(), -1);
    for (int node = 0; node < drafted.size(); ++node) {
      TESSERA_ASSERT(drafted.tokens[node] >= 0 &&
                     drafted.tokens[node] < model_.config().vocabulary);
      tree.add(drafted.tokens[node], drafted.parents[node] + 1);
    }
    shares[i]->tree = std::move(tree);
  }
}

// A drafter that has failed may be in any state: those who had it go on without, and who comes
// later gets a new one. Their texts are the same.
void Engine::dismiss(const Drafter& drafter, const std::exception& error) {
  spdlog::warn("answers go on without drafts: {}", error.what());
  const auto is_it = [&](const std::shared_ptr<Drafter>& other) { return other.get() == &drafter; };
  for (const Scheduler::Queue* queue : {&scheduler_.running(), &scheduler_.waiting()}) {
    for (const auto& sequence : *queue) {
      if (!is_it(sequence->drafter)) continue;
      sequence->draft_state = nullptr;
      sequence->drafter = nullptr;
    }
  }
  std::erase_if(drafters_, [&](const auto& entry) { return is_it(entry.second); });
}

void Engine::observe(std::span<const Scheduler::Share> shares, std::span<const RowRange> ranges,
                     std::span<const Choice> choices, StepRows& rows) {
  for (const auto& [drafter, indices] : by_drafter(shares)) {
    std::vector<Observation> observations;
    for (const size_t i : indices) {
      const Scheduler::Share& share = shares[i];
      const bool is_postponed = ranges[i].first_wanted >= 0 && choices[i].kept == 0;
      const int observed = is_postponed ? share.chunk - 1 : share.rows();
      if (observed <= 0) continue;
      observations.push_back(
          {.tokens = share.sequence->tokens,
           .prompt_size = share.sequence->prompt_size(),
           .finished = share.sequence->finished != FinishReason::kNone,
           .state = share.sequence->draft_state.get(),
           .tree = share.tree.size() > 0 && !is_postponed ? &share.tree : nullptr,
           .path = std::span(choices[i].verified.path).first(choices[i].kept),
           .committed = choices[i].kept,
           .first_row = ranges[i].first_row,
           .rows = observed,
           .first_position = ranges[i].first_position,
           .first_logits = is_postponed ? -1 : ranges[i].first_wanted});
    }
    try {
      drafter->observe(observations, rows);
    } catch (const std::exception& error) {
      dismiss(*drafter, error);
    }
  }
}

}  // namespace tessera
