#include "grammar/network.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
#include <numeric>
#include <optional>
#include <string>
#include <tuple>
#include <unordered_map>

#include "base/error.h"

namespace tessera::grammar {
namespace {

// A rule of at most so many nodes that calls no other is copied into its callers: fewer stacks.
constexpr size_t kMaxInlined = 24;
// What is larger than this becomes a rule of its own where it is repeated by count.
constexpr size_t kMaxCopied = 4;

using Callers = std::vector<std::vector<uint32_t>>;

void note_calls(const Expr& expr, uint32_t caller, Callers& callers) {
  if (expr.kind == Expr::Kind::kRule &&
      (callers[expr.rule].empty() || callers[expr.rule].back() != caller)) {
    callers[expr.rule].push_back(caller);
  }
  for (const Expr& item : expr.items) note_calls(item, caller, callers);
}

// The rules that call each rule, each once.
Callers callers_of(const Syntax& syntax) {
  Callers callers(syntax.rules.size());
  for (uint32_t r = 0; r < syntax.rules.size(); ++r) note_calls(syntax.rules[r].body, r, callers);
  return callers;
}

// Whether each rule can match the empty text.
class Nullability {
 public:
  Nullability(const Syntax& syntax, const Callers& callers) : nullable_(syntax.rules.size()) {
    std::vector<uint32_t> pending(syntax.rules.size());
    std::iota(pending.begin(), pending.end(), 0);
    while (!pending.empty()) {
      const uint32_t rule = pending.back();
      pending.pop_back();
      if (nullable_[rule] || !of(syntax.rules[rule].body)) continue;
      nullable_[rule] = true;
      pending.insert(pending.end(), callers[rule].begin(), callers[rule].end());
    }
  }

  bool of(const Expr& expr) const {
    switch (expr.kind) {
      case Expr::Kind::kLiteral:
        return expr.literal.empty();
      case Expr::Kind::kChars:
        return false;
      case Expr::Kind::kSequence:
        return std::ranges::all_of(expr.items, [this](const Expr& e) { return of(e); });
      case Expr::Kind::kChoice:
        return std::ranges::any_of(expr.items, [this](const Expr& e) { return of(e); });
      case Expr::Kind::kRepeat:
        return expr.min == 0 || of(expr.items[0]);
      case Expr::Kind::kRule:
        return nullable_[expr.rule];
      case Expr::Kind::kStates:  // whose steps all read something
        return expr.finals.front();
      case Expr::Kind::kAnyOrder:
        return expr.min == 0 && std::ranges::none_of(expr.required, std::identity());
    }
    return false;
  }

 private:
  std::vector<bool> nullable_;
};

class Builder {
  using ByteSequences = std::vector<std::vector<ByteRange>>;

 public:
  explicit Builder(const Syntax& syntax) : Builder(syntax, callers_of(syntax)) {}

  Network build() {
    need(net_.root);
    while (!pending_.empty()) {
      const auto [rule, body] = pending_.back();
      pending_.pop_back();
      net_.final[add(*body, net_.starts[rule])] = true;
    }
    mark_tails();
    return std::move(net_);
  }

 private:
  Builder(const Syntax& syntax, const Callers& callers)
      : syntax_(syntax),
        nullability_(syntax, callers),
        inlined_(find_inlined(syntax, callers)),
        unknown_sizes_(syntax.rules.size()) {
    net_.edges.resize(2);
    net_.final.resize(2);
    net_.starts.assign(syntax.rules.size(), kNever);
    for (const Rule& rule : syntax.rules) net_.names.push_back(rule.name);
    net_.root = syntax.root;
  }

  // The number of nodes that `expr` takes, about; nullopt if it calls a rule that is not inlined.
  static std::optional<size_t> size_of(const Expr& expr,
                                       const std::vector<std::optional<size_t>>& rule_sizes) {
    switch (expr.kind) {
      case Expr::Kind::kLiteral:
        return expr.literal.size();
      case Expr::Kind::kChars:
        return expr.chars.empty() || expr.chars.ranges().back().second < 0x80 ? 1 : 8;
      case Expr::Kind::kRule:
        if (!rule_sizes[expr.rule]) return std::nullopt;
        return *rule_sizes[expr.rule] + 1;  // so that no chain of calls is endless
      case Expr::Kind::kAnyOrder:
        return std::nullopt;
      default:
        break;
    }
    size_t size = 1;
    for (const Expr& item : expr.items) {
      const auto item_size = size_of(item, rule_sizes);
      if (!item_size) return std::nullopt;
      size = std::min(size + *item_size, kMaxNodes);
    }
    if (expr.kind == Expr::Kind::kRepeat)
      size = std::min(size * static_cast<size_t>(std::max({1, expr.min, expr.max})), kMaxNodes);
    return size;
  }

  // Bottom up: a rule's size is known when those of all it calls are. On a circle none ever is.
  static std::vector<bool> find_inlined(const Syntax& syntax, const Callers& callers) {
    const size_t count = syntax.rules.size();
    std::vector<uint32_t> unknown(count);  // rules called whose size is not known
    for (const auto& of_rule : callers)
      for (const uint32_t caller : of_rule) ++unknown[caller];
    std::vector<uint32_t> ready;
    for (uint32_t r = 0; r < count; ++r)
      if (unknown[r] == 0) ready.push_back(r);
    std::vector<std::optional<size_t>> sizes(count);
    std::vector<bool> inlined(count);
    while (!ready.empty()) {
      const uint32_t rule = ready.back();
      ready.pop_back();
      const auto size = size_of(syntax.rules[rule].body, sizes);
      if (!size || *size > kMaxInlined) continue;
      sizes[rule] = size;
      inlined[rule] = true;
      for (const uint32_t caller : callers[rule])
        if (--unknown[caller] == 0) ready.push_back(caller);
    }
    return inlined;
  }

  uint32_t new_node() {
    if (net_.edges.size() == kMaxNodes)
      fail("grammar: too large, it takes more than {} nodes (is a repetition count very high?)",
           kMaxNodes);
    net_.edges.emplace_back();
    net_.final.push_back(false);
    return static_cast<uint32_t>(net_.edges.size() - 1);
  }
  void connect(uint32_t from, NetworkEdge::Kind kind, uint32_t what, uint32_t target) {
    if (++edge_count_ > kMaxEdges)
      fail("grammar: too large, it takes more than {} edges", kMaxEdges);
    net_.edges[from].push_back({kind, false, 0, what, target});
  }
  void connect_empty(uint32_t from, uint32_t target) {
    connect(from, NetworkEdge::Kind::kEmpty, 0, target);
  }
  void connect_bytes(uint32_t from, const ByteSet& set, uint32_t target) {
    const auto [found, is_new] = set_index_.emplace(set, static_cast<uint32_t>(net_.sets.size()));
    if (is_new) net_.sets.push_back(set);
    connect(from, NetworkEdge::Kind::kBytes, found->second, target);
  }

  // The rule's body is built once somebody calls it.
  uint32_t need(uint32_t rule) {
    if (net_.starts[rule] == kNever) {
      net_.starts[rule] = new_node();
      pending_.emplace_back(rule, &syntax_.rules[rule].body);
    }
    return rule;
  }
  uint32_t outlined(const Expr& expr) {
    const auto rule = static_cast<uint32_t>(net_.starts.size());
    net_.starts.push_back(new_node());
    net_.names.emplace_back("(...)");
    pending_.emplace_back(rule, &expr);
    return rule;
  }

  void mark_tails() {
    for (auto& edges : net_.edges) {
      for (NetworkEdge& edge : edges) {
        edge.tail = edge.kind == NetworkEdge::Kind::kCall && only_ends(edge.target);
      }
    }
  }
  // From `node` only the end of the rule can be reached. Looking a few nodes ahead is enough.
  bool only_ends(uint32_t node) const {
    for (int steps = 0; steps < 64; ++steps) {
      const auto& edges = net_.edges[node];
      if (edges.empty()) return net_.final[node];
      if (edges.size() > 1 || net_.final[node] || edges[0].kind != NetworkEdge::Kind::kEmpty)
        return false;
      node = edges[0].target;
    }
    return false;
  }

  // Adds what matches `expr` at `from`; gives the node that is reached when it has matched.
  uint32_t add(const Expr& expr, uint32_t from) {
    switch (expr.kind) {
      case Expr::Kind::kLiteral:
        for (const char c : expr.literal) {
          const uint32_t next = new_node();
          connect_bytes(from, ByteSet().set(static_cast<uint8_t>(c)), next);
          from = next;
        }
        return from;
      case Expr::Kind::kChars:
        return add_chars(expr.chars, from);
      case Expr::Kind::kSequence:
        for (const Expr& item : expr.items) from = add(item, from);
        return from;
      case Expr::Kind::kChoice: {
        const uint32_t end = new_node();
        for (const Expr& item : expr.items) connect_empty(add(item, from), end);
        return end;
      }
      case Expr::Kind::kRepeat:
        return add_repeat(expr, from);
      case Expr::Kind::kRule:
        if (inlined_[expr.rule]) return add(syntax_.rules[expr.rule].body, from);
        return add_call(need(expr.rule), from);
      case Expr::Kind::kStates:
        return add_states(expr, from);
      case Expr::Kind::kAnyOrder:
        return add_any_order(expr, from);
    }
    return from;
  }

  uint32_t add_states(const Expr& expr, uint32_t from) {
    const uint32_t end = new_node();
    std::vector<uint32_t> nodes;
    for (size_t state = 0; state < expr.finals.size(); ++state) {
      nodes.push_back(new_node());
      if (expr.finals[state]) connect_empty(nodes[state], end);
    }
    connect_empty(from, nodes[0]);
    for (size_t i = 0; i < expr.items.size(); ++i) {
      const uint32_t to = nodes[expr.steps[i].to];
      if (expr.items[i].kind == Expr::Kind::kChars)
        add_chars(expr.items[i].chars, nodes[expr.steps[i].from], to);
      else if (expr.items[i].kind ==
               Expr::Kind::kRule)  // even of a small rule: it may be one of many
        connect(nodes[expr.steps[i].from], NetworkEdge::Kind::kCall, need(expr.items[i].rule), to);
      else
        connect_empty(add(expr.items[i], nodes[expr.steps[i].from]), to);
    }
    return end;
  }

  uint32_t add_any_order(const Expr& expr, uint32_t from) {
    NetworkOrder order{new_node(),
                       new_node(),
                       new_node(),
                       new_node(),
                       {},
                       expr.required,
                       static_cast<uint32_t>(expr.min),
                       expr.max == kUnbounded ? kNever : static_cast<uint32_t>(expr.max)};
    const auto rule_of = [this](const Expr& item) {
      return item.kind == Expr::Kind::kRule ? need(item.rule) : outlined(item);
    };
    connect_empty(from, order.start);
    connect_empty(order.after, order.end);
    if (nullability_.of(expr)) connect_empty(order.start, order.end);
    for (size_t i = 1; i < expr.items.size(); ++i) {
      order.members.push_back(rule_of(expr.items[i]));
      for (const uint32_t node : {order.start, order.next}) {
        connect(node, NetworkEdge::Kind::kCall, order.members.back(), order.after);
        net_.edges[node].back().member = static_cast<uint16_t>(i - 1);
      }
    }
    connect(order.after, NetworkEdge::Kind::kCall, rule_of(expr.items[0]), order.next);
    net_.orders.push_back(std::move(order));
    return net_.orders.back().end;
  }

  uint32_t add_call(uint32_t rule, uint32_t from) {
    const uint32_t next = new_node();
    connect(from, NetworkEdge::Kind::kCall, rule, next);
    return next;
  }

  // Of a set that may stand there a hundred thousand times, once for each repetition.
  const ByteSequences& sequences_of(const CharSet& set) {
    const auto [found, is_new] = sequences_.try_emplace(&set);
    if (is_new) {
      for (const auto& [first, last] : set.ranges())
        std::ranges::move(utf8_sequences(first, last), std::back_inserter(found->second));
    }
    return found->second;
  }

  // Endings that several characters share are built once.
  uint32_t add_chars(const CharSet& set, uint32_t from) { return add_chars(set, from, new_node()); }
  uint32_t add_chars(const CharSet& set, uint32_t from, uint32_t end) {
    std::map<uint32_t, ByteSet> first_bytes;  // by what follows them
    std::map<std::tuple<uint8_t, uint8_t, uint32_t>, uint32_t> endings;
    for (const auto& bytes : sequences_of(set)) {
      uint32_t next = end;
      for (size_t i = bytes.size() - 1; i > 0; --i) {
        const auto [found, is_new] =
            endings.emplace(std::tuple(bytes[i].first, bytes[i].last, next), 0);
        if (is_new) {
          found->second = new_node();
          connect_bytes(found->second, set_of(bytes[i]), next);
        }
        next = found->second;
      }
      first_bytes[next] |= set_of(bytes[0]);
    }
    for (const auto& [next, bytes] : first_bytes) connect_bytes(from, bytes, next);
    return end;
  }
  static ByteSet set_of(ByteRange range) {
    ByteSet set;
    for (int byte = range.first; byte <= range.last; ++byte) set.set(static_cast<size_t>(byte));
    return set;
  }

  uint32_t add_repeat(const Expr& expr, uint32_t from) {
    const Expr& item = expr.items[0];
    // Repeating what may be empty, every count up to the largest is reached.
    const int min = nullability_.of(item) ? 0 : expr.min;
    const bool unbounded = expr.max == kUnbounded;
    const int copies = unbounded ? min : expr.max;
    const auto size = size_of(item, unknown_sizes_);
    const bool by_call = copies > 1 && !(size && *size <= kMaxCopied);
    const uint32_t rule = by_call ? outlined(item) : 0;
    const auto once = [&](uint32_t at) { return by_call ? add_call(rule, at) : add(item, at); };

    if (unbounded) {
      for (int i = 0; i < min - 1; ++i) from = once(from);
      const uint32_t loop = new_node();
      connect_empty(from, loop);
      const uint32_t again = once(loop);
      connect_empty(again, loop);
      return min > 0 ? again : loop;
    }
    for (int i = 0; i < min; ++i) from = once(from);
    if (copies == min) return from;
    const uint32_t end = new_node();
    for (int i = min; i < copies; ++i) {
      connect_empty(from, end);
      from = once(from);
    }
    connect_empty(from, end);
    return end;
  }

  const Syntax& syntax_;
  Nullability nullability_;
  std::vector<bool> inlined_;
  std::vector<std::optional<size_t>> unknown_sizes_;
  Network net_;
  size_t edge_count_ = 0;
  std::unordered_map<ByteSet, uint32_t> set_index_;
  std::unordered_map<const CharSet*, ByteSequences> sequences_;
  std::vector<std::pair<uint32_t, const Expr*>> pending_;
};

}  // namespace

Network build_network(const Syntax& syntax) {
  return Builder(syntax).build();
}

}  // namespace tessera::grammar
