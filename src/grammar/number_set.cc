#include "grammar/number_set.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <iterator>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "base/error.h"

namespace tessera::grammar {
namespace {

constexpr size_t kUsualDigits = 16, kMostDigits = 19;
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
  return a;
}

namespace {

// What is divided by: `value` is `units` of the last of so many decimals.
struct Divisor {
  uint32_t units;
  size_t decimals;
};

Divisor divisor_of(const Decimal& value) {
  const std::string digits = value.whole + value.fraction;
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
    size_t longest = 0;
    for (const auto* bound : {&set.min, &set.max}) {
      if (!*bound) continue;
      const Decimal& value = (*bound)->value;
      bounds_.push_back(value);
      longest = std::max(longest, value.whole.size());
      // Near a bound that is excluded, a number of more digits may be read as the bound itself.
      if ((*bound)->excluded && value != Decimal{})
        fraction_ =
            std::min(fraction_, kTrustedDigits - std::min(kTrustedDigits, value.whole.size()));
    }
    for (const Decimal& value : set.without)
      fraction_ =
          std::min(fraction_, kTrustedDigits - std::min(kTrustedDigits, value.whole.size()));
    whole_ = std::clamp(longest, kUsualDigits, kMostDigits);
    if (set.whole) fraction_ = 0;
    if (set.broken) whole_ = 8, fraction_ = std::min<size_t>(fraction_, 7);
    for (const Decimal& value : set.multiples_of) divisors_.push_back(divisor_of(value));
    for (const Decimal& value : set.no_multiples_of) divisors_.push_back(divisor_of(value));
    uint32_t product = 1;
    for (const Divisor& divisor : divisors_) product = std::min(product * divisor.units, 1u << 16);
    // So that there are not too many states: each remainder is one for every count of digits.
    if (product > 64) whole_ = std::clamp<size_t>(6'000 / product, 4, 9);
    if (!divisors_.empty()) fraction_ = std::min<size_t>(fraction_, 8);
  }

  Language language() const {
    std::vector<uint32_t> firsts = {0, '-', '.', '/'};
    for (uint32_t c = '0'; c <= '9' + 1; ++c) firsts.push_back(c);
    State start;
    start.order.resize(bounds_.size());
    start.remainder.resize(divisors_.size());
    return explore(
        std::move(start), firsts,
        [this](const State& from, uint32_t c) { return step(from, static_cast<char>(c)); },
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
          state.phase = Phase::kSign;
          state.negative = true;
          return state;
        }
        [[fallthrough]];
      case Phase::kSign:
        if (!is_digit) return dead();
        state.phase = c == '0' ? Phase::kZero : Phase::kWhole;
        return with_whole_digit(std::move(state), c);
      case Phase::kZero:
      case Phase::kWhole:
        if (c == '.' && fraction_ > 0) return with_point(std::move(state));
        if (state.phase == Phase::kZero || !is_digit || state.digits == whole_) return dead();
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

  State with_whole_digit(State state, char c) const {
    for (size_t i = 0; i < bounds_.size(); ++i) {
      const std::string& whole = bounds_[i].whole;
      if (state.digits >= whole.size()) {
        state.order[i] = 1;
      } else if (state.order[i] == 0) {
        state.order[i] = static_cast<int8_t>((c > whole[state.digits]) - (c < whole[state.digits]));
      }
    }
    divide(state, c);
    ++state.digits;
    state.zero &= c == '0';
    return state;
  }
  State with_point(State state) const {
    for (size_t i = 0; i < bounds_.size(); ++i)
      if (state.digits < bounds_[i].whole.size()) state.order[i] = -1;
    state.phase = Phase::kPoint;
    state.digits = 0;
    return state;
  }
  State with_decimal(State state, char c) const {
    for (size_t i = 0; i < bounds_.size(); ++i) {
      const std::string& fraction = bounds_[i].fraction;
      const char of_bound = state.digits < fraction.size() ? fraction[state.digits] : '0';
      if (state.order[i] == 0)
        state.order[i] = static_cast<int8_t>((c > of_bound) - (c < of_bound));
    }
    divide(state, c);
    ++state.digits;
    state.zero &= c == '0';
    state.broken |= c != '0';
    return state;
  }
  // A remainder of `units`: no number that is divided.
  void divide(State& state, char c) const {
    for (size_t i = 0; i < divisors_.size(); ++i) {
      const auto [units, decimals] = divisors_[i];
      uint32_t& remainder = state.remainder[i];
      const auto digit = static_cast<uint32_t>(c - '0');
      if (state.phase == Phase::kFraction && state.digits >= decimals) {
        if (digit != 0) remainder = units;
      } else if (remainder < units) {
        remainder = (remainder * 10 + digit) % units;
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
  size_t whole_ = kUsualDigits, fraction_ = kUsualDigits;
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
  NumberSet rest = set;
  rest.among = std::nullopt;
  std::vector<std::string> texts;
  for (const Decimal& value : *set.among) {
    texts.push_back(value.text());
    // Of so small or large a number that nobody writes it in full.
    const std::string shortest = fmt::format("{}", std::strtod(value.text().c_str(), nullptr));
    if (rest.is_all() && shortest.find('e') != std::string::npos) texts.push_back(shortest);
  }
  const Language any = Language::of(texts);
  return rest.is_all() ? any : any & number_language(rest);
}

}  // namespace tessera::grammar
