#include "grammar/any_order.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace tessera::grammar {
namespace {

struct Counts {
  uint32_t missing = 0;  // required and not taken
  uint32_t taken = 0;
  uint32_t left = 0;  // that could still be taken
};

Counts count(const Grammar::Order& order, const TakenMembers& members) {
  Counts counts;
  for (size_t i = 0; i < order.required.size(); ++i) {
    const uint64_t taken = i < members.taken.size() ? members.taken[i] : 0;
    counts.missing += static_cast<uint32_t>(std::popcount(order.required[i] & ~taken));
    counts.taken += static_cast<uint32_t>(std::popcount(taken));
    counts.left += static_cast<uint32_t>(std::popcount(order.alive[i] & ~taken));
  }
  return counts;
}

// `distinct` members are sure to be so many: the other one may have said the same every time.
uint32_t needed(const Grammar::Order& order, const TakenMembers& members, const Counts& counts) {
  const uint32_t distinct = counts.taken + std::min(members.others, 1u);
  return distinct < order.min ? order.min - distinct : 0;
}

}  // namespace

bool can_be_done(const Grammar::Order& order, const TakenMembers& members) {
  const Counts counts = count(order, members);
  const uint32_t taken = counts.taken + members.others;
  if (taken > order.max) return false;
  const uint32_t left = counts.left + (order.has_other && members.others == 0 ? 1 : 0);
  return std::max(counts.missing, needed(order, members, counts)) <=
         std::min(order.max - taken, left);
}

bool is_done(const Grammar::Order& order, const TakenMembers& members) {
  const Counts counts = count(order, members);
  return counts.missing == 0 && needed(order, members, counts) == 0;
}

std::optional<TakenMembers> with(const Grammar::Order& order, TakenMembers members,
                                 uint32_t member) {
  members.taken.resize(order.required.size());
  if (member == order.members) {
    // What is required comes first: a model could go on with others for ever.
    if (count(order, members).missing > 0) return std::nullopt;
    // Counted as far as it matters.
    if (order.max != UINT32_MAX) {
      ++members.others;
    } else {
      members.others = order.min > 0 ? 1 : 0;
    }
  } else {
    const uint64_t bit = uint64_t{1} << member % 64;
    if ((members.taken[member / 64] & bit) != 0) return std::nullopt;
    members.taken[member / 64] |= bit;
  }
  if (!can_be_done(order, members)) return std::nullopt;
  return members;
}

uint32_t AccountNodes::number_of(Account account) {
  const size_t size = account.members.taken.size() * sizeof(uint64_t);
  const auto [at, is_new] = numbers_.emplace(std::move(account), nodes());
  if (is_new) {
    accounts_.push_back(&at->first);
    bytes_ += size + 120;  // with the map's node
  }
  return at->second;
}

void AccountNodes::clear() {
  accounts_ = {};
  numbers_.clear();
  bytes_ = 0;
}

}  // namespace tessera::grammar
