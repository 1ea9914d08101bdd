#include "engine/scheduler.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "backend/backend.h"

namespace tessera {

void Scheduler::enqueue(Queue& queue, std::shared_ptr<Sequence> sequence) {
  auto place = queue.end();
  while (place != queue.begin() && (*std::prev(place))->rank > sequence->rank) --place;
  queue.insert(place, std::move(sequence));
}

void Scheduler::forget_finished() {
  const auto is_finished = [](const auto& sequence) {
    return sequence->finished != FinishReason::kNone;
  };
  waiting_.remove_if(is_finished);
  running_.remove_if(is_finished);
  std::erase_if(parked_, [](const auto& sequence) { return sequence.expired(); });
}

// --- admission

// Blocks that running sequences have not taken yet but will: the rest of their prompt, and room to
// grow by one more, lest the newcomer be preempted at once.
int Scheduler::promised() const {
  int blocks = 0;
  for (const auto& sequence : running_) {
    const auto& request = sequence->request;
    const int prompt = static_cast<int>(sequence->prompt_size());
    const int longest =
        sequence->is_embedding() ? prompt : prompt + std::min(request.max_tokens, limits_.context);
    const int needed = std::min(blocks_for(sequence->size()) + 1, blocks_for(longest));
    blocks += std::max(0, needed - static_cast<int>(sequence->blocks.blocks().size()));
  }
  return blocks;
}

// A waiting sequence starts when the blocks of its whole prompt are there, in the order of ranks:
// one that has to wait is not overtaken.
void Scheduler::admit() {
  int promise = promised();
  while (!waiting_.empty() && std::ssize(running_) < limits_.sequences) {
    const auto sequence = waiting_.front();
    adopt_prefix(*sequence);
    const int needed =
        blocks_for(sequence->size()) - static_cast<int>(sequence->blocks.blocks().size());
    while (needed > pool_.available() - promise && unpark()) {
    }
    if (needed > pool_.available() - promise && !running_.empty()) {
      sequence->blocks.clear();
      sequence->computed = 0;
      return;
    }
    promise += needed;
    if (!sequence->admitted) {
      statistics_.prompt_tokens += sequence->prompt_size();
      statistics_.cached_tokens += sequence->computed;
      sequence->statistics.cached_tokens = sequence->computed;
    }
    sequence->admitted = sequence->running = true;
    waiting_.pop_front();
    enqueue(running_, sequence);
  }
}

void Scheduler::adopt_prefix(Sequence& sequence) {
  const int before = sequence.computed;
  if (sequence.computed == sequence.blocks.published_tokens()) {
    const auto tokens = std::span(sequence.tokens).first(sequence.adoptable() + 1);
    sequence.computed = std::max(before, sequence.blocks.adopt_prefix(tokens));
    adopt_sibling(sequence);
  }
  const int gained = sequence.computed - before;
  if (gained > 0 && sequence.admitted && sequence.statistics.preemptions == 0) {
    statistics_.cached_tokens += gained;
    sequence.statistics.cached_tokens += gained;
  }
}

namespace {

// Leading tokens that `sequence` may take over from its sibling, computed or not.
int shared_tokens(const Sequence& sequence, const Sequence& sibling) {
  const auto [end, other] = std::ranges::mismatch(sequence.tokens, sibling.tokens);
  return std::min(static_cast<int>(end - sequence.tokens.begin()), sequence.adoptable());
}

}  // namespace

// All that the sibling has, its last block too, which nobody else could find.
void Scheduler::adopt_sibling(Sequence& sequence) {
  const auto sibling = sequence.sibling.lock();
  if (sibling == nullptr) return;
  const int shared = std::min(shared_tokens(sequence, *sibling), sibling->computed);
  if (shared <= sequence.computed) return;
  sequence.blocks = sibling->blocks.fork(shared);
  sequence.computed = shared;
}

bool Scheduler::is_computed_by_sibling(const Sequence& sequence) {
  const auto sibling = sequence.sibling.lock();
  return sibling != nullptr && sibling->running && sibling->finished == FinishReason::kNone &&
         sequence.computed <= sibling->computed &&
         sibling->computed <
             std::min(shared_tokens(sequence, *sibling), static_cast<int>(sibling->prompt_size()));
}

// --- rows

// Every decoding sequence has a row before anyone has more; then prompts; then drafts.
std::vector<Scheduler::Share> Scheduler::begin() {
  forget_finished();
  admit();
  prompts_.sequences = prompts_to_compute();
  int pending = 0, prompt_wanted = 0;
  for (const auto& sequence : prompts_.sequences) {
    pending = std::min(limits_.rows, pending + sequence->pending());
    prompt_wanted = std::max(prompt_wanted, sequence->wanted_rows(sequence->pending()));
  }
  int decoding = static_cast<int>(
      std::ranges::count_if(running_, [](const auto& s) { return s->is_decoding(); }));
  decoding = std::min({decoding, limits_.rows, limits_.wanted_rows});
  prompts_.rows = std::min(pending, limits_.rows - decoding);
  if (decoding > 0) prompts_.rows = std::min(prompts_.rows, limits_.prompt_rows);
  prompts_.draft = std::max(
      0, std::min(limits_.rows - decoding - prompts_.rows,
                  limits_.wanted_rows - decoding - std::min(prompts_.rows, prompt_wanted)));

  std::vector<Share> shares;
  for (const auto& sequence : running_) {
    if (std::ssize(shares) == decoding) break;
    if (!sequence->is_decoding()) continue;
    const int room = std::min({prompts_.draft, limits_.draft_budget,
                               sequence->request.max_tokens - sequence->generated() - 1,
                               limits_.context - sequence->size()});
    shares.push_back({.sequence = sequence, .chunk = 1, .room = std::max(0, room)});
  }
  return shares;
}

void Scheduler::end(std::vector<Share>& shares) {
  fit_trees(shares);
  plan_prompts(shares);
  std::ranges::sort(shares, {}, [](const Share& share) { return share.sequence->rank; });
  reserve_blocks(shares);
}

// Each was given the room that all have together: now the smaller rank drafts first.
void Scheduler::fit_trees(std::vector<Share>& shares) const {
  int left = prompts_.draft;
  for (Share& share : shares) {
    share.tree.truncate(1 + std::min(left, share.room));
    if (share.tree.size() <= 1) share.tree = {};
    share.chunk = share.tree.size() > 0 ? 0 : 1;
    left -= share.rows() - 1;
  }
}

// The running sequences whose prompts get rows. One whose next block another one of them is about
// to compute waits for that instead, and adopts it when it is published: a prefix that many
// requests share is computed once even if all came together.
std::vector<std::shared_ptr<Sequence>> Scheduler::prompts_to_compute() {
  std::vector<std::shared_ptr<Sequence>> prompts;
  const auto next_block = [&](const Sequence& sequence) {
    return std::span(sequence.tokens)
        .subspan(sequence.blocks.published_tokens())
        .first(pool_.block_tokens());
  };
  for (const auto& sequence : running_) {
    if (sequence->is_decoding()) continue;
    adopt_prefix(*sequence);
    if (sequence->is_decoding()) continue;
    if (is_computed_by_sibling(*sequence)) continue;
    const int published = sequence->blocks.published_tokens();
    const bool could_adopt = sequence->computed == published &&
                             published + pool_.block_tokens() <= sequence->adoptable();
    const auto computes_it = [&](const auto& other) {
      return other->blocks.published_serial() == sequence->blocks.published_serial() &&
             published + pool_.block_tokens() <= other->size() &&
             std::ranges::equal(next_block(*other), next_block(*sequence));
    };
    if (!could_adopt || std::ranges::none_of(prompts, computes_it)) prompts.push_back(sequence);
  }
  return prompts;
}

// The oldest prompt has half of the rows if it needs them, and of those that give logits; the
// shortest rests go first in the others. So a short prompt need not wait for a long one to end, nor
// the long one for ever.
void Scheduler::plan_prompts(std::vector<Share>& shares) {
  auto prompts = std::exchange(prompts_.sequences, {});
  if (prompts.empty()) return;
  int rows = prompts_.rows, wanted = limits_.wanted_rows;
  for (const Share& share : shares) wanted -= share.rows();
  const auto oldest = prompts.front();
  const int guaranteed = std::min(oldest->pending(), (rows + 1) / 2);
  rows -= guaranteed;
  const int guaranteed_wanted = std::min(oldest->wanted_rows(guaranteed), (wanted + 1) / 2);
  wanted -= guaranteed_wanted;
  std::ranges::stable_sort(prompts, {}, [](const auto& s) { return s->pending(); });
  for (const auto& sequence : prompts) {
    const int kept = sequence == oldest ? guaranteed : 0;
    int chunk = kept + std::min(sequence->pending() - kept, rows);
    rows -= chunk - kept;
    const int room = wanted + (sequence == oldest ? guaranteed_wanted : 0);
    while (sequence->wanted_rows(chunk) > room) --chunk;
    if (chunk < sequence->pending()) {
      // To the end of a block if that is possible: others can adopt what is published.
      const int end = sequence->computed + chunk;
      const int aligned = end - end % pool_.block_tokens();
      if (aligned > sequence->computed) chunk = aligned - sequence->computed;
    }
    wanted = room - sequence->wanted_rows(chunk);
    if (chunk > 0) shares.push_back({.sequence = sequence, .chunk = chunk});
  }
}

// --- blocks

// By rank, so that whoever is preempted has not been given anything in this step yet. A sequence
// that finds no blocks although nobody of larger rank runs waits for the others.
void Scheduler::reserve_blocks(std::vector<Share>& shares) {
  for (Share& share : shares) {
    Sequence& sequence = *share.sequence;
    if (!sequence.running) continue;
    if (share.tree.size() > 0 && !reserve(share)) share.tree = {}, share.chunk = 1;
    bool reserved = false;  // drafts preempt nobody
    while (!(reserved = reserve(share)) && (unpark() || preempt_after(sequence))) {
    }
    if (!reserved) share.chunk = 0, share.tree = {};
    const int drafted = std::max(0, share.tree.size() - 1);
    sequence.statistics.drafted += drafted;
    statistics_.drafted += drafted;
  }
  std::erase_if(shares, [](const Share& s) { return !s.sequence->running || s.rows() == 0; });
}

// Slots for a share's rows that are the sequence's own.
bool Scheduler::reserve(Share& share) {
  Sequence& sequence = *share.sequence;
  std::optional<BlockTable::Copy> copy;
  const bool own = sequence.blocks.own(sequence.computed, copy);
  if (copy) copies_.push_back(*copy);
  return own && sequence.blocks.reserve(sequence.computed + share.rows());
}

// Takes the blocks that were kept longest for nobody yet. False if there are none.
bool Scheduler::unpark() {
  while (!parked_.empty()) {
    const auto sequence = parked_.front().lock();
    parked_.erase(parked_.begin());
    if (sequence == nullptr || sequence->blocks.blocks().empty()) continue;
    sequence->blocks.clear();
    sequence->computed = 0;
    return true;
  }
  return false;
}

// Recomputation: the running sequence of the largest rank gives its blocks back and queues again.
// False if that is not after `sequence`.
bool Scheduler::preempt_after(const Sequence& sequence) {
  const auto victim = running_.back();
  if (victim->rank <= sequence.rank) return false;
  running_.pop_back();
  victim->running = false;
  victim->blocks.clear();
  victim->computed = 0;
  victim->hidden_sum.clear();
  ++victim->statistics.preemptions;
  ++statistics_.preemptions;
  enqueue(waiting_, victim);
  return true;
}

}  // namespace tessera
