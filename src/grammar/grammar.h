// A compiled context-free grammar: a recursive transition network over bytes (Woods 1970).
//
// Each rule is a small automaton of nodes. An edge reads a byte, reads nothing, or calls a rule and
// goes on at its target when that rule is done. Small rules that call no other are copied into
// their callers. Every node can reach the end of its rule: dead ends are cut off, so whatever a
// walk has read so far can be completed.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "grammar/syntax.h"

namespace tessera {

namespace grammar {
struct Network;
}

class Grammar {
 public:
  // Two nodes without edges lie below every stack of calls.
  static constexpr uint32_t kEnd = 0;      // the whole grammar is done
  static constexpr uint32_t kOutside = 1;  // here ends what is known of the stack
  // Calls within calls, at most. A call is only allowed where the rest can be done within it.
  static constexpr uint32_t kMaxDepth = 1000;

  struct Edge {
    enum class Kind : uint8_t { kBytes, kEmpty, kCall };
    Kind kind;
    bool tail;        // of a call: nothing is left to do at `target`, so nobody returns there
    uint16_t member;  // of a call within an order: which it takes
    uint32_t what;    // kBytes: index of the byte set; kCall: the first node of the rule
    uint32_t target;  // node
  };
  struct Node {
    uint32_t first_edge = 0, edges = 0;
    uint16_t depth = 0;         // calls within calls that it takes at least to finish the rule
    bool final = false;         // the rule may be done here
    bool reads_byte = false;    // has an edge of kBytes
    uint32_t order = kNoOrder;  // one of orders(), if its edges are members of it
  };
  static constexpr uint32_t kNoOrder = UINT32_MAX;
  // Members that come in any order, each once. From its nodes a walk has to keep account of what it
  // has taken, and take a member only where the rest can be done then (any_order.h).
  struct Order {
    uint32_t after = 0;  // the node where a member has been taken: a call leads to the next
    std::vector<uint64_t> required = {}, alive = {};  // of each member, a bit
    uint32_t members = 0;                             // without the one that may be repeated
    bool has_other = false;                           // member `members` may be repeated
    uint32_t min = 0, max = UINT32_MAX;               // of those taken
  };

  // Throws Error if a rule calls itself before it reads anything (left recursion), if the root can
  // never end, or if the network is too large.
  explicit Grammar(const grammar::Syntax& syntax);

  uint32_t start() const { return start_; }
  const Node& node(uint32_t node) const { return nodes_[node]; }
  uint32_t deepest_node() const { return deepest_node_; }  // the largest Node::depth
  size_t bytes() const {
    size_t sum = nodes_.size() * sizeof(Node) + edges_.size() * sizeof(Edge);
    for (const Order& order : orders_) sum += sizeof(Order) + 16 * order.required.size();
    return sum;
  }
  uint32_t nodes() const { return static_cast<uint32_t>(nodes_.size()); }
  std::span<const Edge> edges(uint32_t node) const {
    return std::span(edges_).subspan(nodes_[node].first_edge, nodes_[node].edges);
  }
  const Order& order(uint32_t order) const { return orders_[order]; }
  // Bytes that no edge tells apart are of one class.
  const std::array<uint8_t, 256>& byte_classes() const { return byte_class_; }
  uint32_t classes() const { return classes_; }
  bool matches(const Edge& edge, uint8_t byte_class) const {
    return class_sets_[edge.what].test(byte_class);
  }

 private:
  void number_byte_classes(std::span<const grammar::ByteSet> sets);
  void add_orders(const grammar::Network& network);

  std::vector<Node> nodes_;
  std::vector<Edge> edges_;
  std::vector<Order> orders_;
  uint32_t start_ = 0, deepest_node_ = 0;
  std::array<uint8_t, 256> byte_class_{};
  uint32_t classes_ = 1;
  std::vector<std::bitset<256>> class_sets_;  // of byte classes, for each set of bytes
};

}  // namespace tessera
