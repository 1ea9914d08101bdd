// What a network is checked for before it is used.
#include <algorithm>
#include <functional>
#include <queue>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/printable.h"
#include "grammar/network.h"

namespace tessera::grammar {
namespace {

using Kind = NetworkEdge::Kind;

struct Reverse {
  uint32_t from;
  const NetworkEdge* edge;
};

// What an order takes before it can be done, whichever member is taken first: all that are required
// and as many as are needed. Rules are settled in ascending order, so the last of them tells.
class Orders {
 public:
  explicit Orders(const Network& network)
      : network_(network), after_(network.edges.size()), watched_(network.edges.size()) {
    for (uint32_t i = 0; i < network.orders.size(); ++i) {
      const NetworkOrder& order = network.orders[i];
      Need need{order.min};
      for (uint32_t m = 0; m < order.members.size(); ++m) {
        const bool required = m < order.required.size() && order.required[m];
        need.required += required ? 1 : 0;
        of_node_.emplace(network.starts[order.members[m]], std::pair(i, required));
        watched_[network.starts[order.members[m]]] = true;
      }
      of_node_.emplace(order.end, std::pair(i, false));
      after_[order.after] = watched_[order.end] = true;
      needs_.push_back(need);
    }
  }

  bool is_after(uint32_t node) const { return after_[node]; }

  // Gives the nodes after a member of the orders that can be done now that `node` is settled.
  template <typename Relax>
  void settle(uint32_t node, uint32_t depth, Relax relax) {
    if (!watched_[node]) return;
    const auto [begin, end] = of_node_.equal_range(node);
    for (auto at = begin; at != end; ++at) {
      const auto [index, required] = at->second;
      Need& need = needs_[index];
      const bool was_open = need.is_open();
      if (network_.orders[index].end == node) {
        need.end = true;
        need.depth = std::max(need.depth, depth);
      } else {
        // Past what is needed, members are as they like.
        if (required || need.any > 0) need.depth = std::max(need.depth, depth + 1);
        need.any -= need.any > 0 ? 1 : 0;
        need.required -= required ? 1 : 0;
      }
      if (was_open && !need.is_open()) relax(network_.orders[index].after, need.depth);
    }
  }

 private:
  struct Need {
    uint32_t any, required = 0, depth = 0;
    bool end = false;
    bool is_open() const { return any > 0 || required > 0 || !end; }
  };
  const Network& network_;
  std::unordered_multimap<uint32_t, std::pair<uint32_t, bool>> of_node_;
  std::vector<bool> after_, watched_;  // of each node
  std::vector<Need> needs_;
};

}  // namespace

// Knuth's generalization of Dijkstra's algorithm (1977): nodes are settled in ascending order of
// their depth; an edge that calls counts once both the rule and what follows it are settled.
std::vector<uint32_t> finishing_depths(const Network& network, bool reading) {
  const size_t nodes = network.edges.size();
  std::vector<std::vector<Reverse>> into(nodes), calls(network.starts.size());
  std::vector<std::vector<uint32_t>> started_at(nodes);  // rules by their first node
  Orders orders(network);
  for (uint32_t node = 0; node < nodes; ++node) {
    for (const NetworkEdge& edge : network.edges[node]) {
      if (edge.kind == Kind::kBytes && !reading) continue;
      if (reading && orders.is_after(node)) continue;  // see Orders
      into[edge.target].push_back({node, &edge});
      if (edge.kind == Kind::kCall) calls[edge.what].push_back({node, &edge});
    }
  }
  for (uint32_t rule = 0; rule < network.starts.size(); ++rule) {
    if (network.starts[rule] != kNever) started_at[network.starts[rule]].push_back(rule);
  }

  std::vector<uint32_t> depth(nodes, kNever);
  std::vector<bool> settled(nodes);
  using Entry = std::pair<uint32_t, uint32_t>;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue;
  const auto relax = [&](uint32_t node, uint32_t d) {
    if (d < depth[node]) queue.emplace(depth[node] = d, node);
  };
  const auto relax_call = [&](const Reverse& call) {
    const uint32_t start = network.starts[call.edge->what];
    if (!settled[start] || !settled[call.edge->target]) return;
    const uint32_t inside = depth[start] + (call.edge->tail ? 0 : 1);
    relax(call.from, std::max(inside, depth[call.edge->target]));
  };
  for (uint32_t node = 0; node < nodes; ++node) {
    if (network.final[node]) relax(node, 0);
  }
  while (!queue.empty()) {
    const uint32_t node = queue.top().second;
    queue.pop();
    if (settled[node]) continue;
    settled[node] = true;
    for (const Reverse& reverse : into[node]) {
      if (reverse.edge->kind == Kind::kCall) {
        relax_call(reverse);
      } else {
        relax(reverse.from, depth[node]);
      }
    }
    for (const uint32_t rule : started_at[node]) {
      for (const Reverse& call : calls[rule]) relax_call(call);
    }
    if (reading) orders.settle(node, depth[node], relax);
  }
  // Where one more member must be taken, the others may have been taken before.
  for (const NetworkOrder& order : network.orders) {
    uint32_t& deepest = depth[order.next] = depth[order.after];
    if (deepest == kNever) continue;
    for (const uint32_t member : order.members) {
      const uint32_t inside = depth[network.starts[member]];
      if (inside != kNever) deepest = std::max(deepest, inside + 1);
    }
  }
  return depth;
}

namespace {

// The rules that each rule may call before it has read anything.
std::vector<std::vector<uint32_t>> left_calls(const Network& network) {
  const std::vector<uint32_t> empty = finishing_depths(network, false);
  std::vector<std::vector<uint32_t>> result(network.starts.size());
  std::vector<bool> seen(network.edges.size());
  for (uint32_t rule = 0; rule < network.starts.size(); ++rule) {
    if (network.starts[rule] == kNever) continue;
    std::vector<uint32_t> pending = {network.starts[rule]};
    while (!pending.empty()) {
      const uint32_t node = pending.back();
      pending.pop_back();
      if (seen[node]) continue;
      seen[node] = true;
      for (const NetworkEdge& edge : network.edges[node]) {
        if (edge.kind == Kind::kBytes) continue;
        if (edge.kind == Kind::kCall) result[rule].push_back(edge.what);
        if (edge.kind == Kind::kEmpty || empty[network.starts[edge.what]] != kNever)
          pending.push_back(edge.target);
      }
    }
  }
  return result;
}

[[noreturn]] void refuse_circle(const Network& network, std::span<const uint32_t> circle) {
  std::string path;
  int named = 0;
  for (const uint32_t rule : circle) {
    if (network.names[rule].starts_with('(')) continue;
    if (++named <= 8) path += fmt::format("'{}' -> ", printable(network.names[rule]));
  }
  if (named > 8) path += "... -> ";
  fail("grammar: left recursion: {}the first again, before anything is read", path);
}

}  // namespace

void refuse_left_recursion(const Network& network) {
  const auto calls = left_calls(network);
  enum class Color : uint8_t { kNew, kOpen, kDone };
  std::vector<Color> color(calls.size(), Color::kNew);
  std::vector<size_t> next(calls.size());
  for (uint32_t first = 0; first < calls.size(); ++first) {
    std::vector<uint32_t> path;
    const auto open = [&](uint32_t rule) {
      color[rule] = Color::kOpen;
      path.push_back(rule);
    };
    if (color[first] == Color::kNew) open(first);
    while (!path.empty()) {
      const uint32_t rule = path.back();
      if (next[rule] == calls[rule].size()) {
        color[rule] = Color::kDone;
        path.pop_back();
        continue;
      }
      const uint32_t called = calls[rule][next[rule]++];
      if (color[called] == Color::kNew)
        open(called);
      else if (color[called] == Color::kOpen)
        refuse_circle(network, std::span(std::ranges::find(path, called), path.end()));
    }
  }
}

}  // namespace tessera::grammar
