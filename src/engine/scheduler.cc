#include "engine/scheduler.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "backend/backend.h"

namespace tessera {

void Scheduler::enqueue(Queue& queue, std::shared_ptr<Sequence> sequence) {
  auto place = queue.end();
  while (place != queue.begin() && (*std::prev(place))->rank() > sequence->rank()) --place;
  queue.insert(place, std::move(sequence));
}

void Scheduler::add(std::shared_ptr<Sequence> sequence) {
  order_.enter(*sequence, first());
  enqueue(waiting_, std::move(sequence));
}

void Scheduler::add_beam(std::shared_ptr<Sequence> beam, const Sequence& first) {
  order_.enter(*beam, this->first());  // it costs its client as much as another answer
  beam->turn = first.turn;
  enqueue(waiting_, std::move(beam));
}

// Of the smallest rank; null if nobody is there.
const Sequence* Scheduler::first() const {
  const Sequence* first = nullptr;
  for (const Queue* queue : {&waiting_, &running_}) {
    if (queue->empty()) continue;
    if (first == nullptr || queue->front()->rank() < first->rank()) first = queue->front().get();
  }
  return first;
}

void Scheduler::forget_finished() {
  const auto forget = [&](const auto& sequence) {
    if (sequence->finished == FinishReason::kNone) return false;
    order_.leave(*sequence);
    return true;
  };
  waiting_.remove_if(forget);
  running_.remove_if(forget);
  std::erase_if(parked_, [](const auto& sequence) { return sequence.expired(); });
}

// Its client's turns move back together, so that they stay in order.
void Scheduler::charge_long_answers() {
  bool moved = false;
  for (const auto& sequence : running_) {
    const int64_t later = order_.charge(*sequence);
    if (later == 0) continue;
    for (const Queue* queue : {&waiting_, &running_}) {
      for (const auto& other : *queue) {
        if (other->request.client == sequence->request.client) other->turn += later;
      }
    }
    moved = true;
  }
  if (!moved) return;
  for (Queue* queue : {&waiting_, &running_})
    queue->sort([](const auto& a, const auto& b) { return a->rank() < b->rank(); });
}

void Scheduler::look_for_masks() {
  for (const auto& sequence : running_) {
    sequence->awaits_mask = sequence->mask_work != nullptr && !sequence->mask_work->is_done();
    if (!sequence->awaits_mask) sequence->mask_work = nullptr;
  }
}

bool Scheduler::awaits_masks() const {
  return std::ranges::any_of(running_, [](const auto& sequence) { return sequence->awaits_mask; });
}

bool Scheduler::has_several_clients() const {
  const Sequence* some = first();
  const auto is_another = [&](const auto& s) { return s->request.client != some->request.client; };
  return std::ranges::any_of(running_, is_another) || std::ranges::any_of(waiting_, is_another);
}

// --- admission

// Blocks that a running sequence has not taken yet but will: the rest of its prompt, and room to
// grow by one more, lest a newcomer be preempted at once.
int Scheduler::promised(const Sequence& sequence) const {
  const auto& request = sequence.request;
  const int prompt = static_cast<int>(sequence.prompt_size());
  const int longest =
      sequence.is_embedding() ? prompt : prompt + std::min(request.max_tokens, limits_.context);
  const int needed = std::min(blocks_for(sequence.size()) + 1, blocks_for(longest));
  return std::max(0, needed - static_cast<int>(sequence.blocks.blocks().size()));
}

int Scheduler::promised() const {
  int blocks = 0;
  for (const auto& sequence : running_) blocks += promised(*sequence);
  return blocks;
}

// A waiting sequence starts when the blocks of its whole prompt are there, in the order of ranks:
// one that has to wait is not overtaken. Those of larger rank give way to it.
void Scheduler::admit() {
  int promise = promised();
  while (!waiting_.empty()) {
    const auto sequence = waiting_.front();
    adopt_prefix(*sequence);
    const int needed =
        blocks_for(sequence->size()) - static_cast<int>(sequence->blocks.blocks().size());
    while (needed > pool_.available() - promise && unpark()) {
    }
    const bool fits =
        std::ssize(running_) < limits_.sequences && needed <= pool_.available() - promise;
    if (!fits && make_room(*sequence, needed)) {
      promise = promised();
    } else if (!fits && !running_.empty()) {
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
    waiting_.pop_front();  // those that made room are behind it
    enqueue(running_, sequence);
  }
}

// Preempts as many of larger rank as it takes for `sequence` to start with so many more blocks.
// Nobody if all of them were not enough.
bool Scheduler::make_room(const Sequence& sequence, int blocks) {
  const auto count = std::ssize(running_);
  int room = pool_.available() - promised();
  ptrdiff_t victims = 0;
  for (auto victim = running_.rbegin(); victim != running_.rend(); ++victim) {
    if (count - victims < limits_.sequences && room >= blocks) break;
    if ((*victim)->rank() < sequence.rank()) return false;
    room += static_cast<int>((*victim)->blocks.blocks().size()) + promised(**victim);
    ++victims;
  }
  if (victims == 0 || room < blocks) return false;
  for (; victims > 0; --victims) preempt_last();
  return true;
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
  if (shared <= sequence.computed || !sibling->blocks.can_fork(shared)) return;
  sequence.blocks = sibling->blocks.fork(shared);
  sequence.computed = shared;
}

bool Scheduler::is_computed_by_sibling(const Sequence& sequence) {
  const auto sibling = sequence.sibling.lock();
  return sibling != nullptr && sibling->running && !sibling->rests &&
         sibling->finished == FinishReason::kNone && sequence.computed <= sibling->computed &&
         sibling->computed <
             std::min(shared_tokens(sequence, *sibling), static_cast<int>(sibling->prompt_size()));
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
  return own && sequence.blocks.reserve(sequence.computed + share.rows()) && share.plan_states();
}

// Where somebody branches off before the last token of a prompt, or it may have to be computed
// again since nobody knows yet what may come behind it, the state there is wanted.
bool Scheduler::Share::plan_states() const {
  const bool ends_prompt = tree.size() == 0 && chunk == sequence->pending() && chunk > 1;
  return sequence->blocks.states.plan(
      {.first = sequence->computed,
       .end = sequence->computed + rows(),
       .is_tree = tree.size() > 0,
       .is_prompt = !sequence->is_decoding(),
       .keeps_before_end =
           ends_prompt && (sequence->is_branched || sequence->request.constraint != nullptr)});
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
  if (running_.back()->rank() <= sequence.rank()) return false;
  preempt_last();
  return true;
}

void Scheduler::preempt_last() {
  const auto victim = running_.back();
  running_.pop_back();
  victim->running = false;
  victim->blocks.clear();
  victim->computed = 0;
  victim->hidden_sum.clear();
  ++victim->statistics.preemptions;
  ++statistics_.preemptions;
  enqueue(waiting_, victim);
}

}  // namespace tessera
