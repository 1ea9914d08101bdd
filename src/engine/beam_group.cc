#include "engine/beam_group.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace tessera {

BeamGroup::BeamGroup(std::vector<std::shared_ptr<Sequence>> sequences, int most_tokens, int ends,
                     std::function<bool(Token)> is_end)
    : sequences_(std::move(sequences)),
      most_tokens_(most_tokens),
      ends_(ends),
      is_end_(std::move(is_end)),
      search_(sequences_.front()->request.beams, most_tokens),
      at_(1),
      places_(sequences_.size()) {
  places_.front().started = true;
  for (const auto& sequence : sequences_) {
    sequence->group = this;
    if (sequence != sequences_.front()) sequence->sibling = sequences_.front();
  }
}

BeamGroup::~BeamGroup() {
  for (const auto& sequence : sequences_) sequence->group = nullptr;
}

BeamGroup::Next BeamGroup::look(Sequence& sequence, std::span<const float> logits) const {
  const Request& request = sequence.request;
  Next next;
  next.tokens = sequence.sampler.likeliest(logits, sequence.tokens, sequence.prompt_size(),
                                           BeamSearch::candidates(request.beams.width, ends_));
  next.complete = sequence.sampler.completes(
      std::span(sequence.tokens).subspan(sequence.prompt_size()));  // found out on the way
  if (request.top_logprobs > 0) next.top = find_logprobs(logits, 0, request.top_logprobs).top;
  return next;
}

void BeamGroup::take(Sequence& sequence, Next next) {
  const auto place = std::ranges::find(sequences_, sequence.shared_from_this());
  places_[static_cast<size_t>(place - sequences_.begin())].next = std::move(next);
  sequence.rests = true;
}

bool BeamGroup::is_ready() const {
  return std::ranges::all_of(at_, [&](size_t place) { return sequences_[place]->rests; });
}

bool BeamGroup::advance() {
  ++sequences_.front()->statistics.steps;
  std::vector<std::vector<BeamToken>> next;
  for (const size_t place : at_) next.push_back(std::move(places_[place].next.tokens));
  const int width = static_cast<int>(sequences_.size());
  auto candidates = search_.best(next, BeamSearch::candidates(width, ends_));
  for (BeamSearch::Candidate& candidate : candidates) candidate.ends = ends(candidate);
  const bool goes_on = search_.step(candidates);
  remember_nodes();
  if (goes_on) {
    move_beams();
  } else {
    give_answers();
  }
  return goes_on;
}

bool BeamGroup::ends(const BeamSearch::Candidate& candidate) const {
  const Sequence& sequence = *sequences_[at_[static_cast<size_t>(candidate.parent)]];
  const Token token = candidate.token.token;
  if (is_end_(token) && !sequence.request.ignore_eos) return true;
  if (sequence.is_stop(token) || sequence.generated() + 1 >= most_tokens_) return true;
  if (!sequence.request.ends_text) return false;
  std::vector<Token> answer(
      sequence.tokens.begin() + static_cast<ptrdiff_t>(sequence.prompt_size()),
      sequence.tokens.end());
  answer.push_back(token);
  return sequence.request.ends_text(answer);
}

// Of each token that became part of a text in this step, what the model said of it, and what is
// needed if the text ends with it: to find that out later might take long.
void BeamGroup::remember_nodes() {
  const bool tells = sequences_.front()->request.top_logprobs >= 0;
  for (int n = static_cast<int>(complete_.size()); n < search_.nodes(); ++n) {
    const BeamSearch::Node& node = search_.node(n);
    const Next& next = places_[at_[static_cast<size_t>(node.parent)]].next;
    complete_.push_back(next.complete);
    if (tells) logprobs_.push_back({.token = node.token, .logprob = node.raw, .top = next.top});
  }
}

// Gives every beam a sequence. The first that continues a beam, which is the best one, stays where
// that is; the others take the places that nobody continues.
void BeamGroup::move_beams() {
  constexpr auto kNowhere = static_cast<size_t>(-1);
  const auto beams = search_.beams();
  std::vector<size_t> at(beams.size(), kNowhere);
  std::vector<bool> taken(sequences_.size());
  const auto from = [&](size_t beam) {
    return at_[static_cast<size_t>(search_.node(beams[beam].node).parent)];
  };
  for (size_t beam = 0; beam < beams.size(); ++beam) {
    if (taken[from(beam)]) continue;
    at[beam] = from(beam);
    taken[from(beam)] = true;
  }
  for (size_t beam = 0; beam < beams.size(); ++beam) {
    if (at[beam] != kNowhere) continue;
    const auto place = static_cast<size_t>(std::ranges::find(taken, false) - taken.begin());
    taken[place] = true;
    at[beam] = place;
    fork(*sequences_[from(beam)], *sequences_[place]);
    if (!std::exchange(places_[place].started, true)) started_.push_back(sequences_[place]);
  }
  at_ = std::move(at);
  // Only now, as others were forked from what these were before.
  for (size_t beam = 0; beam < beams.size(); ++beam) {
    Sequence& sequence = *sequences_[at_[beam]];
    sequence.tokens.push_back(search_.node(beams[beam].node).token);
    sequence.rests = false;
  }
  for (size_t place = 0; place < sequences_.size(); ++place) {
    if (taken[place] || !places_[place].started) continue;
    sequences_[place]->blocks.clear();  // rests on, until a beam needs a place
    sequences_[place]->computed = 0;
  }
}

// `to` becomes what `from` is. One that does not run has no blocks: it shares what it can, as the
// first one's sibling, when it is admitted.
void BeamGroup::fork(const Sequence& from, Sequence& to) {
  to.tokens = from.tokens;
  to.sampler.follow(from.sampler);
  to.blocks.clear();
  to.computed = 0;
  if (!to.running) return;
  to.blocks = from.blocks.fork(from.computed);
  to.computed = from.computed;
}

bool BeamGroup::ends_text(std::span<const Token> answer) const {
  const Request& request = sequences_.front()->request;
  return request.ends_text && request.ends_text(answer);
}

FinishReason BeamGroup::reason_of(int node, std::span<const Token> answer) const {
  const Sequence& first = *sequences_.front();
  const Token last = answer.back();
  if (is_end_(last) && !first.request.ignore_eos) {
    const bool complete = complete_[static_cast<size_t>(node)];
    return complete ? FinishReason::kStop : FinishReason::kLength;
  }
  const bool stops = first.is_stop(last) || ends_text(answer);
  return stops ? FinishReason::kStop : FinishReason::kLength;
}

void BeamGroup::give_answers() {
  const auto results = search_.results();
  for (size_t i = 0; i < sequences_.size(); ++i) {
    Sequence& sequence = *sequences_[i];
    sequence.tokens.resize(sequence.prompt_size());
    if (i >= results.size()) {
      sequence.finished = FinishReason::kNoAnswer;
      continue;
    }
    const std::vector<Token> answer = search_.answer(results[i].node);
    sequence.tokens.insert(sequence.tokens.end(), answer.begin(), answer.end());
    sequence.score = results[i].score;
    sequence.finished = reason_of(results[i].node, answer);
    if (sequence.request.top_logprobs < 0) continue;
    for (const int node : search_.path(results[i].node))
      sequence.logprobs.push_back(logprobs_[static_cast<size_t>(node)]);
  }
}

}  // namespace tessera
