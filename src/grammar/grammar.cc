#include "grammar/grammar.h"

#include <algorithm>

#include "base/error.h"
#include "base/printable.h"
#include "grammar/network.h"

namespace tessera {

using grammar::kNever;
using grammar::Network;
using grammar::NetworkEdge;

Grammar::Grammar(const grammar::Syntax& syntax) {
  const Network network = grammar::build_network(syntax);
  grammar::refuse_left_recursion(network);
  const auto depths = grammar::finishing_depths(network, true);
  const auto hopeless = [&](uint32_t node) { return depths[node] > kMaxDepth; };
  start_ = network.starts[network.root];
  if (hopeless(start_)) {
    fail("grammar: the rule '{}' can never end{}", printable(network.names[network.root]),
         depths[start_] == kNever ? "" : fmt::format(" within {} calls in calls", kMaxDepth));
  }

  nodes_.resize(network.edges.size());
  for (uint32_t node = 0; node < nodes_.size(); ++node) {
    nodes_[node].first_edge = static_cast<uint32_t>(edges_.size());
    nodes_[node].depth = static_cast<uint16_t>(std::min(depths[node], kMaxDepth));
    if (!hopeless(node)) deepest_node_ = std::max(deepest_node_, depths[node]);
    nodes_[node].final = network.final[node];
    for (const NetworkEdge& edge : network.edges[node]) {
      const bool is_call = edge.kind == NetworkEdge::Kind::kCall;
      const uint32_t what = is_call ? network.starts[edge.what] : edge.what;
      if (hopeless(edge.target) || (is_call && hopeless(what))) continue;
      edges_.push_back(
          {static_cast<Edge::Kind>(edge.kind), edge.tail, edge.member, what, edge.target});
      nodes_[node].reads_byte |= edge.kind == NetworkEdge::Kind::kBytes;
    }
    nodes_[node].edges = static_cast<uint32_t>(edges_.size()) - nodes_[node].first_edge;
  }
  add_orders(network);
  number_byte_classes(network.sets);
}

void Grammar::add_orders(const Network& network) {
  for (const grammar::NetworkOrder& from : network.orders) {
    const size_t words = from.required.size() / 64 + 1;
    Order order{from.after,
                std::vector<uint64_t>(words),
                std::vector<uint64_t>(words),
                static_cast<uint32_t>(from.required.size()),
                false,
                from.min,
                from.max};
    for (uint32_t i = 0; i < order.members; ++i)
      if (from.required[i]) order.required[i / 64] |= uint64_t{1} << i % 64;
    for (const Edge& edge : edges(from.next)) {
      if (edge.member == order.members)
        order.has_other = true;
      else
        order.alive[edge.member / 64] |= uint64_t{1} << edge.member % 64;
    }
    for (const uint32_t node : {from.start, from.after, from.next})
      nodes_[node].order = static_cast<uint32_t>(orders_.size());
    orders_.push_back(std::move(order));
  }
}

// Each set splits every class into the bytes within and those without.
void Grammar::number_byte_classes(std::span<const grammar::ByteSet> sets) {
  for (const grammar::ByteSet& set : sets) {
    std::array<int, 512> split;
    split.fill(-1);
    uint32_t count = 0;
    for (size_t byte = 0; byte < 256; ++byte) {
      int& number = split[byte_class_[byte] * 2u + (set.test(byte) ? 1u : 0u)];
      if (number < 0) number = static_cast<int>(count++);
      byte_class_[byte] = static_cast<uint8_t>(number);
    }
    classes_ = count;
    if (classes_ == 256) break;
  }
  class_sets_.resize(sets.size());
  for (size_t i = 0; i < sets.size(); ++i) {
    for (size_t byte = 0; byte < 256; ++byte) {
      if (sets[i].test(byte)) class_sets_[i].set(byte_class_[byte]);
    }
  }
}

}  // namespace tessera
