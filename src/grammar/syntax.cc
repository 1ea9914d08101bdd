#include "grammar/syntax.h"

#include <algorithm>
#include <iterator>

#include "base/utf8.h"

namespace tessera::grammar {

void CharSet::add(uint32_t first, uint32_t last) {
  ranges_.emplace_back(first, last);
  normalize();
}

void CharSet::add(const CharSet& other) {
  ranges_.insert(ranges_.end(), other.ranges_.begin(), other.ranges_.end());
  normalize();
}

void CharSet::normalize() {
  std::ranges::sort(ranges_);
  std::vector<std::pair<uint32_t, uint32_t>> merged;
  for (const auto& [first, last] : ranges_) {
    if (!merged.empty() && first <= merged.back().second + 1) {
      merged.back().second = std::max(merged.back().second, last);
    } else {
      merged.emplace_back(first, last);
    }
  }
  ranges_ = std::move(merged);
}

CharSet CharSet::complement() const {
  CharSet result;
  uint32_t next = 0;
  for (const auto& [first, last] : ranges_) {
    if (first > next) result.ranges_.emplace_back(next, first - 1);
    next = last + 1;
  }
  if (next <= kMaxCodePoint) result.ranges_.emplace_back(next, kMaxCodePoint);
  return result;
}

CharSet CharSet::minus(const CharSet& other) const {
  CharSet rest = complement();
  rest.add(other);
  return rest.complement();
}

bool CharSet::contains(uint32_t c) const {
  const auto after =
      std::ranges::upper_bound(ranges_, c, {}, &std::pair<uint32_t, uint32_t>::first);
  return after != ranges_.begin() && c <= std::prev(after)->second;
}

namespace {

void move_rules(Expr& expr, uint32_t by) {
  if (expr.kind == Expr::Kind::kRule) expr.rule += by;
  for (Expr& item : expr.items) move_rules(item, by);
}

}  // namespace

uint32_t append_rules(Syntax& whole, Syntax part) {
  const auto by = static_cast<uint32_t>(whole.rules.size());
  for (Rule& rule : part.rules) {
    move_rules(rule.body, by);
    whole.rules.push_back(std::move(rule));
  }
  return part.root + by;
}

namespace {

// Cuts until, of the characters of a piece, all share a length and each byte but the first that
// differs runs over all its values.
void split(uint32_t first, uint32_t last, std::vector<std::vector<ByteRange>>& sequences) {
  for (const uint32_t end : {0x7Fu, 0x7FFu, 0xD7FFu, 0xDFFFu, 0xFFFFu}) {
    if (first <= end && last > end) {
      split(first, end, sequences);
      split(end + 1, last, sequences);
      return;
    }
  }
  if (first >= 0xD800 && last <= 0xDFFF) return;
  for (int trailing = 1; trailing <= 3 && last > 0x7F; ++trailing) {
    const uint32_t low_bits = (1u << (6 * trailing)) - 1;
    if ((first & ~low_bits) == (last & ~low_bits)) break;
    if ((first & low_bits) != 0) {
      split(first, first | low_bits, sequences);
      split((first | low_bits) + 1, last, sequences);
      return;
    }
    if ((last & low_bits) != low_bits) {
      split(first, (last & ~low_bits) - 1, sequences);
      split(last & ~low_bits, last, sequences);
      return;
    }
  }
  std::string low, high;
  append_utf8(low, first);
  append_utf8(high, last);
  std::vector<ByteRange> sequence;
  for (size_t i = 0; i < low.size(); ++i) {
    sequence.push_back({static_cast<uint8_t>(low[i]), static_cast<uint8_t>(high[i])});
  }
  sequences.push_back(std::move(sequence));
}

}  // namespace

std::vector<std::vector<ByteRange>> utf8_sequences(uint32_t first, uint32_t last) {
  std::vector<std::vector<ByteRange>> sequences;
  split(first, last, sequences);
  return sequences;
}

}  // namespace tessera::grammar
