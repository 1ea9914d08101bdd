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
  bool tail;        // of a call: at `target` the caller is done, too
  uint16_t member;  // of a call from where an order begins or goes on: which it takes
  uint32_t what;    // kBytes: index into `sets`; kCall: the rule
  uint32_t target;
};

// Members that come in any order, each once (Expr::Kind::kAnyOrder). The edges are those of members
// that may be repeated at will; who walks them has to keep account of what was taken.
struct NetworkOrder {
  uint32_t start;  // node: nothing has been taken, the members are calls to `after`
  uint32_t after;  // a member has been taken; a call of the separator leads to `next`
  uint32_t next;   // another member must be taken
  uint32_t end;    // where the whole ends, by an empty edge
  std::vector<uint32_t> members;  // rules; maybe another behind them, which may be repeated
  std::vector<bool> required;     // of each member
  uint32_t min, max;              // of those taken; kNever: no largest number

  bool has_other() const { return members.size() > required.size(); }
};

struct Network {
  std::vector<std::vector<NetworkEdge>> edges;  // of each node
  std::vector<bool> final;                      // of each node: its rule may be done there
  std::vector<uint32_t> starts;                 // of each rule; kNever for one that nobody calls
  std::vector<std::string> names;               // of each rule
  std::vector<ByteSet> sets;
  std::vector<NetworkOrder> orders;
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
