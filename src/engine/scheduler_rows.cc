// The scheduler's second half: the rows of a step.
#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

#include "engine/scheduler.h"

namespace tessera {
namespace {

// Whether a row gives it a token.
bool is_due(const Sequence& sequence) {
  return sequence.is_decoding() && !sequence.awaits_mask;
}

}  // namespace

// Every decoding sequence has a row before anyone has more, as far as its client's share goes; then
// prompts; then drafts.
std::vector<Scheduler::Share> Scheduler::begin() {
  forget_finished();
  charge_long_answers();
  admit();
  look_for_masks();
  prompts_.sequences = prompts_to_compute();
  clients_ = ClientShares(limits_.weight_rows);
  for (const auto& sequence : running_) {
    if (is_due(*sequence)) clients_.add(*sequence);
  }
  for (const auto& sequence : prompts_.sequences) clients_.add(*sequence);
  clients_.divide();

  std::vector<Share> shares;
  const int most = std::min(limits_.rows, limits_.wanted_rows);
  for (const auto& sequence : running_) {
    if (std::ssize(shares) == most) break;
    if (!is_due(*sequence) || clients_.left_for_answers(*sequence) == 0) continue;
    clients_.take_for_answers(*sequence, 1);
    shares.push_back({.sequence = sequence, .chunk = 1});
  }
  plan_rows(static_cast<int>(shares.size()));
  for (Share& share : shares) {
    const Sequence& sequence = *share.sequence;
    const int room =
        std::min({prompts_.draft, limits_.draft_budget, clients_.left_for_answers(sequence),
                  sequence.request.max_tokens - sequence.generated() - 1,
                  limits_.context - sequence.size()});
    share.room = std::max(0, room);
  }
  return shares;
}

// What prompts and drafts have beside `decoding` rows.
void Scheduler::plan_rows(int decoding) {
  int pending = 0, prompt_wanted = 0;
  for (const auto& sequence : prompts_.sequences) {
    pending = std::min(limits_.rows, pending + sequence->pending());
    prompt_wanted = std::max(prompt_wanted, sequence->wanted_rows(sequence->pending()));
  }
  prompts_.rows = std::min(pending, limits_.rows - decoding);
  if (decoding > 0) prompts_.rows = std::min(prompts_.rows, limits_.prompt_rows);
  prompts_.draft = std::max(
      0, std::min(limits_.rows - decoding - prompts_.rows,
                  limits_.wanted_rows - decoding - std::min(prompts_.rows, prompt_wanted)));
}

void Scheduler::end(std::vector<Share>& shares) {
  fit_trees(shares);
  plan_prompts(shares);
  std::ranges::sort(shares, {}, [](const Share& share) { return share.sequence->rank(); });
  reserve_blocks(shares);
}

// Each was given the room that all have together: now the smaller rank drafts first.
void Scheduler::fit_trees(std::vector<Share>& shares) {
  int left = prompts_.draft;
  for (Share& share : shares) {
    const Sequence& sequence = *share.sequence;
    share.tree.truncate(1 + std::min({left, share.room, clients_.left_for_answers(sequence)}));
    if (share.tree.size() <= 1) share.tree = {};
    share.chunk = share.tree.size() > 0 ? 0 : 1;
    left -= share.rows() - 1;
    clients_.take_for_answers(sequence, share.rows() - 1);
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
    if (sequence->rests || sequence->is_decoding()) continue;
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

// A text that must be computed in one step has all of its rows when it is the oldest, however many,
// and before if they are left: several may share the rows of a step.
//
// The oldest prompt has half of the rows if it needs them, and of those that give logits. The
// others are shared equally among the clients, for each of which the shortest rests go first; what
// is left then, the shortest of all may have. So a short prompt need not wait for a long one to
// end, nor the long one for ever, nor anybody for the many of another client.
void Scheduler::plan_prompts(std::vector<Share>& shares) {
  std::vector<Share> chunks;
  for (const auto& sequence : std::exchange(prompts_.sequences, {}))
    chunks.push_back({.sequence = sequence});
  if (chunks.empty()) return;
  Rows left{prompts_.rows, limits_.wanted_rows};
  for (const Share& share : shares) left.wanted -= share.rows();

  if (const int rows = chunks.front().sequence->pending(); chunks.front().sequence->reads_ahead) {
    chunks.front().chunk = rows;
    clients_.take_for_prompts(*chunks.front().sequence, rows);
    left.rows = std::max(0, left.rows - rows);
  } else {
    Rows for_oldest = left.divided(2);
    lengthen(chunks.front(), for_oldest, left);
  }
  std::ranges::stable_sort(chunks, {}, [](const Share& s) { return s.sequence->pending(); });
  std::map<std::string_view, Rows> each;
  const Rows equal = left.divided(clients_.with_prompts());
  for (Share& chunk : chunks) {
    Rows& own = each.try_emplace(chunk.sequence->request.client, equal).first->second;
    lengthen(chunk, own, left);
  }
  for (Share& chunk : chunks) {
    Rows all = left;
    lengthen(chunk, all, left);
    end_with_block(chunk);
    if (chunk.chunk > 0) shares.push_back(std::move(chunk));
  }
}

// By as many of the rows `own` as there are, and as its client may have.
void Scheduler::lengthen(Share& chunk, Rows& own, Rows& left) {
  const Sequence& sequence = *chunk.sequence;
  const int before = sequence.wanted_rows(chunk.chunk);
  const int wanted = std::min(own.wanted, left.wanted);
  int more = std::min(
      {own.rows, left.rows, sequence.pending() - chunk.chunk, clients_.left_for_prompts(sequence)});
  while (more > 0 && sequence.wanted_rows(chunk.chunk + more) - before > wanted) --more;
  if (more <= 0) return;
  if (sequence.reads_ahead && more < sequence.pending()) return;
  chunk.chunk += more;
  clients_.take_for_prompts(sequence, more);
  for (Rows* rows : {&own, &left}) {
    rows->rows -= more;
    rows->wanted -= sequence.wanted_rows(chunk.chunk) - before;
  }
}

// If that is possible: others can adopt what is published.
void Scheduler::end_with_block(Share& chunk) const {
  const Sequence& sequence = *chunk.sequence;
  if (chunk.chunk == sequence.pending()) return;
  const int end = sequence.computed + chunk.chunk;
  const int aligned = end - end % pool_.block_tokens();
  if (aligned > sequence.computed) chunk.chunk = aligned - sequence.computed;
}

}  // namespace tessera
