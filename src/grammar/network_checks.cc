// What a network is checked for before it is used.
#include <algorithm>
#include <functional>
#include <queue>
#include <span>
#include <string>
#include <utility>

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

}  // namespace

// Knuth's generalization of Dijkstra's algorithm (1977): nodes are settled in ascending order of
// their depth; an edge that calls counts once both the rule and what follows it are settled.
std::vector<uint32_t> finishing_depths(const Network& network, bool reading) {
  const size_t nodes = network.edges.size();
  std::vector<std::vector<Reverse>> into(nodes), calls(network.starts.size());
  std::vector<std::vector<uint32_t>> started_at(nodes);  // rules by their first node
  for (uint32_t node = 0; node < nodes; ++node) {
    for (const NetworkEdge& edge : network.edges[node]) {
      if (edge.kind == Kind::kBytes && !reading) continue;
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
