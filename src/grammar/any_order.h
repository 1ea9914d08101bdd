// The account of members that come in any order, each once: which were taken.
//
// It is part of a state: a walk that has taken these members is at another node than one that has
// taken those. There are as many such nodes as subsets, so they are made when they are met.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "grammar/grammar.h"

namespace tessera::grammar {

struct TakenMembers {
  uint32_t others = 0;               // times that the member which may be repeated was taken
  std::vector<uint64_t> taken = {};  // of each other member, a bit

  auto operator<=>(const TakenMembers&) const = default;
};

// Whether the order can still be done: it is not past its largest number, and what is needed fits.
bool can_be_done(const Grammar::Order& order, const TakenMembers& members);
bool is_done(const Grammar::Order& order, const TakenMembers& members);
// With one more; nullopt where it must not be taken. The one that may be repeated comes once all
// that are required are there.
std::optional<TakenMembers> with(const Grammar::Order& order, TakenMembers members,
                                 uint32_t member);

// Nodes of a grammar that come with an account, numbered behind the grammar's own.
class AccountNodes {
 public:
  explicit AccountNodes(const Grammar& grammar) : grammar_(grammar) {}

  struct Account {
    uint32_t node;  // of the grammar
    TakenMembers members;
    auto operator<=>(const Account&) const = default;
  };
  uint32_t number_of(Account account);
  bool is_known(uint32_t node) const { return node >= grammar_.nodes(); }
  const Account& account(uint32_t node) const { return *accounts_[node - grammar_.nodes()]; }
  // The node of the grammar that `node` is.
  uint32_t plain(uint32_t node) const { return is_known(node) ? account(node).node : node; }
  uint32_t nodes() const { return grammar_.nodes() + static_cast<uint32_t>(accounts_.size()); }
  size_t bytes() const { return bytes_; }
  void clear();

 private:
  const Grammar& grammar_;
  std::map<Account, uint32_t> numbers_;
  std::vector<const Account*> accounts_;
  size_t bytes_ = 0;
};

}  // namespace tessera::grammar
