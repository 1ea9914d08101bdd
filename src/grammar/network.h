// The network of a grammar while it is built.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "grammar/syntax.h"

namespace tessera::grammar {

// More nodes or edges than this are refused: a repetition of repetitions can ask for any number.
inline constexpr size_t kMaxNodes = 200'000;
inline constexpr size_t kMaxEdges = 400'000;
// No node, or a number of calls that nothing reaches.
inline constexpr uint32_t kNever = UINT32_MAX;

struct NetworkEdge {
  enum class Kind : uint8_t { kBytes, kEmpty, kCall };
  Kind kind;
  bool tail;      // of a call: at `target` the caller is done, too
  uint32_t what;  // kBytes: index into `sets`; kCall: the rule
  uint32_t target;
};

struct Network {
  std::vector<std::vector<NetworkEdge>> edges;  // of each node
  std::vector<bool> final;                      // of each node: its rule may be done there
  std::vector<uint32_t> starts;                 // of each rule; kNever for one that nobody calls
  std::vector<std::string> names;               // of each rule
  std::vector<ByteSet> sets;
  uint32_t root = 0;  // rule
};

// Nodes 0 and 1 are left without edges. Throws Error if the network grows too large.
Network build_network(const Syntax& syntax);

// For each node the least number of calls within calls to finish its rule (tail calls do not
// count), kNever if it cannot be. `reading`: bytes may be read on the way.
std::vector<uint32_t> finishing_depths(const Network& network, bool reading);

// Throws Error, naming the rules of the circle, if one calls itself before it has read anything.
void refuse_left_recursion(const Network& network);

}  // namespace tessera::grammar
