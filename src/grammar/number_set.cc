#include "grammar/number_set.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <iterator>
#include <limits>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "base/error.h"

namespace tessera::grammar {
namespace {

constexpr size_t kFewestDigits = 4, kUsualDigits = 16, kMostDigits = 19;
constexpr size_t kLongestInteger = std::numeric_limits<uint64_t>::digits10 + 1;
constexpr size_t kLargestDigits = 308;  // of a double
// Decimals of so many digits are all told apart by doubles.
constexpr size_t kTrustedDigits = std::numeric_limits<double>::digits10;
constexpr uint32_t kMaxDivisor = 5'000;

std::strong_ordering compare_magnitudes(const Decimal& a, const Decimal& b) {
  if (a.whole.size() != b.whole.size()) return a.whole.size() <=> b.whole.size();
  if (const int order = a.whole.compare(b.whole); order != 0) return order <=> 0;
  return a.fraction.compare(b.fraction) <=> 0;
}

}  // namespace

std::strong_ordering Decimal::operator<=>(const Decimal& other) const {
  if (negative != other.negative) return other.negative <=> negative;
  return negative ? compare_magnitudes(other, *this) : compare_magnitudes(*this, other);
}

std::string Decimal::text() const {
  return (negative ? "-" : "") + whole + (fraction.empty() ? "" : "." + fraction);
}

Decimal decimal_of(const nlohmann::ordered_json& number) {
  std::string text =
      number.is_number_float() ? fmt::format("{}", number.get<double>()) : number.dump();
  Decimal result;
  if (text.starts_with('-')) {
    result.negative = true;
    text.erase(0, 1);
  }
  int exponent = 0;
  if (const size_t e = text.find('e'); e != std::string::npos) {
    exponent = std::atoi(text.c_str() + e + 1);
    text.resize(e);
  }
  size_t point = std::min(text.find('.'), text.size());
  if (point < text.size()) text.erase(point, 1);
  const int moved = static_cast<int>(point) + exponent;
  if (moved < 0) text.insert(0, static_cast<size_t>(-moved), '0');
  point = static_cast<size_t>(std::max(moved, 0));
  if (point > text.size()) text.append(point - text.size(), '0');
  result.whole = text.substr(0, point);
  result.whole.erase(0, std::min(result.whole.find_first_not_of('0'), result.whole.size()));
  if (result.whole.empty()) result.whole = "0";
  result.fraction = text.substr(point);
  result.fraction.resize(result.fraction.find_last_not_of('0') + 1);
  if (result.whole == "0" && result.fraction.empty()) result.negative = false;
  return result;
}

bool NumberSet::is_all() const {
  return !min && !max && !whole && !broken && multiples_of.empty() && no_multiples_of.empty() &&
         !among && without.empty();
}

void NumberSet::limit_min(const Bound& bound) {
  if (!min || bound.value > min->value)
    min = bound;
  else if (bound.value == min->value)
    min->excluded |= bound.excluded;
}
void NumberSet::limit_max(const Bound& bound) {
  if (!max || bound.value < max->value)
    max = bound;
  else if (bound.value == max->value)
    max->excluded |= bound.excluded;
}

namespace {

// Whether `value` is a whole number of times `of`. The digits of a JSON number, without zeros
// around them, fit 64 bits.
bool is_multiple(const Decimal& value, const Decimal& of) {
  if (value == Decimal{}) return true;
  const size_t decimals = std::max(value.fraction.size(), of.fraction.size());
  const auto digits_of = [&](const Decimal& number) {
    return number.whole + number.fraction + std::string(decimals - number.fraction.size(), '0');
  };
  std::string digits = digits_of(value), units = digits_of(of);
  for (; units.ends_with('0'); units.pop_back()) {
    if (!digits.ends_with('0')) return false;
    digits.pop_back();
  }
  const uint64_t divisor = std::strtoull(units.c_str(), nullptr, 10);
  const auto sum = [divisor](uint64_t a, uint64_t b) {  // of remainders, which may be 64 bits long
    return a >= divisor - b ? a - (divisor - b) : a + b;
  };
  uint64_t remainder = 0;
  for (const char digit : digits) {
    const uint64_t twice = sum(remainder, remainder);
    const uint64_t five_times = sum(sum(twice, twice), remainder);
    remainder = sum(sum(five_times, five_times), static_cast<uint64_t>(digit - '0') % divisor);
  }
  return remainder == 0;
}

// Of `set` beside what it is among and without.
bool fits(const NumberSet& set, const Decimal& value) {
  if (set.min) {
    const auto order = value <=> set.min->value;
    if (order < 0 || (order == 0 && set.min->excluded)) return false;
  }
  if (set.max) {
    const auto order = value <=> set.max->value;
    if (order > 0 || (order == 0 && set.max->excluded)) return false;
  }
  if (value.is_whole() ? set.broken : set.whole) return false;
  const auto divides = [&](const Decimal& of) { return is_multiple(value, of); };
  return std::ranges::all_of(set.multiples_of, divides) &&
         std::ranges::none_of(set.no_multiples_of, divides);
}

// Of numbers that are given it is known which are left: nothing else needs to be said.
NumberSet among_them(NumberSet set) {
  if (!set.among) return set;
  std::ranges::sort(set.without);
  std::erase_if(*set.among, [&](const Decimal& each) {
    return !fits(set, each) || std::ranges::binary_search(set.without, each);
  });
  return {.among = std::move(set.among)};
}

}  // namespace

NumberSet meet(NumberSet a, const NumberSet& b) {
  if (b.min) a.limit_min(*b.min);
  if (b.max) a.limit_max(*b.max);
  a.whole |= b.whole;
  a.broken |= b.broken;
  const auto append = [](std::vector<Decimal>& to, const std::vector<Decimal>& from) {
    for (const Decimal& each : from)
      if (std::ranges::find(to, each) == to.end()) to.push_back(each);
  };
  append(a.multiples_of, b.multiples_of);
  append(a.no_multiples_of, b.no_multiples_of);
  std::vector<Decimal> without;
  std::ranges::set_union(a.without, b.without, std::back_inserter(without));
  a.without = std::move(without);
  if (a.among && b.among) {
    std::erase_if(*a.among,
                  [&](const Decimal& each) { return !std::ranges::binary_search(*b.among, each); });
  } else if (b.among) {
    a.among = b.among;
  }
  return among_them(std::move(a));
}

namespace {

// What is divided by: `value` is `units` of the last of so many decimals.
struct Divisor {
  uint32_t units;
  size_t decimals;
  // What divides ten times a number if `units` do: of this the next digits depend.
  uint32_t left() const { return units / std::gcd(units, 10u); }
};

Divisor divisor_of(const Decimal& value) {
  std::string digits = value.whole + value.fraction;
  digits.erase(0, digits.find_first_not_of('0'));
  const auto units = digits.size() > 12 ? UINT64_MAX : std::strtoull(digits.c_str(), nullptr, 10);
  if (units > kMaxDivisor)
    fail("json_schema: 'multipleOf' {} is not supported, at most {} units of its last digit are",
         value.text(), kMaxDivisor);
  return {static_cast<uint32_t>(units), value.fraction.size()};
}

// Reads a number from left to right.
class NumberMachine {
 public:
  explicit NumberMachine(const NumberSet& set) : set_(set) {
    size_t longest = 0, longest_fraction = 0;
    for (const auto* bound : {&set.min, &set.max}) {
      if (!*bound) continue;
      const Decimal& value = (*bound)->value;
      bounds_.push_back(value);
      longest = std::max(longest, value.whole.size());
      longest_fraction = std::max(longest_fraction, value.fraction.size());
      // Near a bound that is excluded, a number of more digits may be read as the bound itself.
      if ((*bound)->excluded && value != Decimal{})
        fraction_ =
            std::min(fraction_, kTrustedDigits - std::min(kTrustedDigits, value.whole.size()));
    }
    for (const Decimal& value : set.without)
      fraction_ =
          std::min(fraction_, kTrustedDigits - std::min(kTrustedDigits, value.whole.size()));
    size_t remainders = 1;
    for (const auto* list : {&set.multiples_of, &set.no_multiples_of}) {
      for (const Decimal& value : *list) {
        divisors_.push_back(divisor_of(value));
        remainders = std::min(remainders * (divisors_.back().left() + 1), size_t{1} << 16);
      }
    }
    for (const Decimal& value : set.multiples_of)
      longest_fraction = std::max(longest_fraction, value.fraction.size());
    if (!divisors_.empty()) fraction_ = std::min(fraction_, std::max<size_t>(8, longest_fraction));
    if (set.whole) fraction_ = 0;

    // Each remainder is a state for every count of digits, but for the first few.
    const size_t signs = has_sign(true) && has_sign(false) ? 2 : 1;
    const size_t at_will =
        divisors_.empty()
            ? std::clamp(longest, kUsualDigits, kMostDigits)
            : std::clamp(9'000 / (signs * remainders) + std::to_string(remainders).size() - 1,
                         kFewestDigits, set.whole ? kUsualDigits : kTrustedDigits);
    for (const bool negative : {false, true}) {
      size_t& whole = whole_[negative ? 1 : 0] =
          set.broken ? std::min<size_t>(at_will, 8) : at_will;
      // There must be some beyond the bound that is nearer to zero.
      const auto& nearest = negative ? set.max : set.min;
      if (nearest && nearest->value.negative == negative)
        whole = std::max(whole, std::min(nearest->value.whole.size() + 1, kLargestDigits));
      if (!divisors_.empty() && has_sign(negative) && whole > kTrustedDigits) fraction_ = 0;
      if (set.broken && has_sign(negative))
        fraction_ = std::min(fraction_, kTrustedDigits - std::min(kTrustedDigits, whole));
    }
  }

  Language language() const {
    std::vector<uint32_t> firsts = {0, '-', '.', '/'};
    for (uint32_t c = '0'; c <= '9' + 1; ++c) firsts.push_back(c);
    State start;
    start.order.resize(bounds_.size());
    start.remainder.resize(divisors_.size());
    return explore(
        std::move(start), firsts,
        [this](const State& from, uint32_t c) {
          charge_states(0, divisors_.size());
          return step(from, static_cast<char>(c));
        },
        [this](const State& state) { return accepts(state); });
  }

 private:
  enum class Phase : uint8_t { kStart, kSign, kZero, kWhole, kPoint, kFraction, kDead };
  struct State {
    Phase phase = Phase::kStart;
    bool negative = false, zero = true, broken = false;
    size_t digits = 0;  // of this part
    // Of each bound: how what was read compares to as much of its magnitude.
    std::vector<int8_t> order = {};
    std::vector<uint32_t> remainder = {};  // of each divisor
    auto operator<=>(const State&) const = default;
  };

  State step(State state, char c) const {
    const bool is_digit = c >= '0' && c <= '9';
    switch (state.phase) {
      case Phase::kStart:
        if (c == '-') {
          if (!has_sign(true)) return dead();
          state.phase = Phase::kSign;
          state.negative = true;
          return state;
        }
        [[fallthrough]];
      case Phase::kSign:
        if (!is_digit || !has_sign(state.negative)) return dead();
        state.phase = c == '0' ? Phase::kZero : Phase::kWhole;
        return with_whole_digit(std::move(state), c);
      case Phase::kZero:
      case Phase::kWhole:
        if (c == '.' && fraction_ > 0) return with_point(std::move(state));
        if (state.phase == Phase::kZero || !is_digit ||
            state.digits == whole_[state.negative ? 1 : 0])
          return dead();
        return with_whole_digit(std::move(state), c);
      case Phase::kPoint:
      case Phase::kFraction:
        if (!is_digit || state.digits == fraction_) return dead();
        state.phase = Phase::kFraction;
        return with_decimal(std::move(state), c);
      case Phase::kDead:
        break;
    }
    return dead();
  }
  static State dead() { return {.phase = Phase::kDead}; }

  // Whether the bounds leave numbers of this sign.
  bool has_sign(bool negative) const {
    const auto& farthest = negative ? set_.min : set_.max;
    return !farthest || farthest->value.negative == negative;
  }

  State with_whole_digit(State state, char c) const {
    for (size_t i = 0; i < bounds_.size(); ++i) {
      const std::string& whole = bounds_[i].whole;
      if (bounds_[i].negative != state.negative) continue;  // how they compare is known
      if (state.digits >= whole.size()) {
        state.order[i] = 1;
      } else if (state.order[i] == 0) {
        state.order[i] = static_cast<int8_t>((c > whole[state.digits]) - (c < whole[state.digits]));
      }
    }
    divide(state, c);
    ++state.digits;
    state.zero &= c == '0';
    // No more digits lead back within the bound that is farther from zero.
    const auto& farthest = state.negative ? set_.min : set_.max;
    const size_t at = state.negative || !set_.min ? 0 : 1;
    if (farthest && state.order[at] > 0 && state.digits >= farthest->value.whole.size())
      return dead();
    return state;
  }
  State with_point(State state) const {
    for (size_t i = 0; i < bounds_.size(); ++i)
      if (bounds_[i].negative == state.negative && state.digits < bounds_[i].whole.size())
        state.order[i] = -1;
    state.phase = Phase::kPoint;
    state.digits = 0;
    return without_remainders(std::move(state));
  }
  State with_decimal(State state, char c) const {
    for (size_t i = 0; i < bounds_.size(); ++i) {
      const std::string& fraction = bounds_[i].fraction;
      if (bounds_[i].negative != state.negative) continue;
      const char of_bound = state.digits < fraction.size() ? fraction[state.digits] : '0';
      if (state.order[i] == 0)
        state.order[i] = static_cast<int8_t>((c > of_bound) - (c < of_bound));
    }
    divide(state, c);
    ++state.digits;
    state.zero &= c == '0';
    state.broken |= c != '0';
    return without_remainders(std::move(state));
  }
  // What is no multiple by the last decimal that matters never is.
  State without_remainders(State state) const {
    for (size_t i = 0; i < divisors_.size(); ++i) {
      if (state.remainder[i] == 0 || state.digits < divisors_[i].decimals) continue;
      if (i < set_.multiples_of.size()) return dead();
      state.remainder[i] = divisors_[i].units;
    }
    return state;
  }
  // A remainder of `units`: no number that is divided. Of others than 0, ten times the remainder is
  // all that matters.
  void divide(State& state, char c) const {
    for (size_t i = 0; i < divisors_.size(); ++i) {
      const auto& [units, decimals] = divisors_[i];
      uint32_t& remainder = state.remainder[i];
      const auto digit = static_cast<uint32_t>(c - '0');
      if (state.phase == Phase::kFraction && state.digits >= decimals) {
        if (digit != 0) remainder = units;
      } else if (remainder < units) {
        remainder = (remainder * 10 + digit) % units;
        if (remainder > 0) remainder = (remainder - 1) % divisors_[i].left() + 1;
      }
    }
  }

  bool accepts(const State& state) const {
    if (state.phase != Phase::kZero && state.phase != Phase::kWhole &&
        state.phase != Phase::kFraction)
      return false;
    if (state.negative && state.zero) return false;  // -0
    if (set_.broken && !state.broken) return false;
    size_t bound = 0;
    if (set_.min) {
      const int order = compare(state, bound++);
      if (order < 0 || (order == 0 && set_.min->excluded)) return false;
    }
    if (set_.max) {
      const int order = compare(state, bound++);
      if (order > 0 || (order == 0 && set_.max->excluded)) return false;
    }
    for (size_t i = 0; i < divisors_.size(); ++i)
      if (is_divided(state, i) != (i < set_.multiples_of.size())) return false;
    return true;
  }

  // The number that was read beside a bound: less than 0 if it is smaller.
  int compare(const State& state, size_t i) const {
    const Decimal& bound = bounds_[i];
    if (state.negative != bound.negative) return state.negative ? -1 : 1;
    int order = state.order[i];
    const bool ends_whole = state.phase != Phase::kFraction;
    if (ends_whole && state.digits < bound.whole.size()) {
      order = -1;
    } else if (order == 0 && bound.fraction.size() > (ends_whole ? 0 : state.digits)) {
      order = -1;
    }
    return state.negative ? -order : order;
  }

  bool is_divided(const State& state, size_t i) const {
    const auto [units, decimals] = divisors_[i];
    uint64_t remainder = state.remainder[i];
    if (remainder == units) return false;
    const size_t read = state.phase == Phase::kFraction ? state.digits : 0;
    for (size_t digit = read; digit < decimals && remainder > 0; ++digit)
      remainder = remainder * 10 % units;
    return remainder == 0;
  }

  const NumberSet& set_;
  std::vector<Decimal> bounds_;  // the smallest, the largest
  std::vector<Divisor> divisors_;
  std::array<size_t, 2> whole_{};  // digits, of a number more than 0 and of one less
  size_t fraction_ = kUsualDigits;
};

// All texts that are one of `numbers`, zeros at the end of the fraction or not. Others that are no
// numbers may be in it, too.
Language spellings_of(const std::vector<Decimal>& numbers) {
  std::vector<std::string> texts;
  for (const Decimal& number : numbers) texts.push_back(number.text());
  const Language shortest = Language::of(texts);
  struct State {
    uint32_t at = 0;      // in `shortest`
    bool is_one = false;  // what was read, but for zeros at the end of its fraction
    bool fraction = false;
    auto operator<=>(const State&) const = default;
  };
  std::vector<uint32_t> firsts = {0, '-', '.', '/'};
  for (uint32_t c = '0'; c <= '9' + 1; ++c) firsts.push_back(c);
  const auto step = [&](State state, uint32_t c) {
    state.at = shortest.next(state.at, c);
    if (c == '.')
      state.fraction = true;
    else if (!state.fraction || c != '0')
      state.is_one = shortest.states()[state.at].accepts;
    return state;
  };
  return explore(State(), firsts, step, [](const State& state) { return state.is_one; });
}

}  // namespace

Language number_language(const NumberSet& set) {
  if (!set.among) {
    const Language language = NumberMachine(set).language();
    return set.without.empty() ? language : language.minus(spellings_of(set.without));
  }
  std::vector<std::string> texts;
  const NumberSet given = among_them(set);
  for (const Decimal& value : *given.among) {
    // Of so small or large a number that nobody writes it in full.
    const std::string shortest = fmt::format("{}", std::strtod(value.text().c_str(), nullptr));
    const bool is_short = shortest.find('e') != std::string::npos &&
                          decimal_of(nlohmann::ordered_json::parse(shortest)) == value;
    if (is_short) texts.push_back(shortest);
    // In full, a double beyond 64 bits may be read as an integer that is another number.
    if (!is_short || value.whole.size() <= kLongestInteger) texts.push_back(value.text());
  }
  return Language::of(texts);
}

}  // namespace tessera::grammar
