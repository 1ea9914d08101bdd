// Guesses the text that a constraint leaves no choice about, as the tokenizer cuts it: the names
// and signs of a schema. Each byte is certain, but not where the model cuts them into tokens
// (jump-ahead decoding, Zheng et al. 2024, arXiv 2312.07104, which commits them; here they are
// verified).
#include <array>
#include <chrono>
#include <memory>
#include <vector>

#include "decode/drafters/drafters.h"
#include "decode/drafters/guessing_drafter.h"

namespace tessera {
namespace {

// To find it out: a walk along a few dozen bytes takes a few microseconds.
constexpr auto kTime = std::chrono::microseconds(200);

// What comes behind the last forced token may be of one token with it.
constexpr int kInside = 0, kLast = 1;
constexpr std::array<float, 2> kForcedChances = {0.9F, 0.7F};

class Forced final : public GuessSource {
 public:
  std::span<const float> chances() const override { return kForcedChances; }
  Place here() const override { return {here_}; }
  Place after(Place place, Token token) const override {
    const auto at = static_cast<size_t>(place.at);
    const bool follows = place.at >= 0 && at < tokens_.size() && tokens_[at] == token;
    return {follows ? place.at + 1 : -1};
  }
  void guess(Place place, std::vector<Guess>& to) const override {
    const auto at = static_cast<size_t>(place.at);
    if (place.at < 0 || at >= tokens_.size()) return;
    to.push_back({tokens_[at], at + 1 < tokens_.size() ? kInside : kLast});
  }
  void read(Token token, bool) override { here_ = after(here(), token).at; }
  void look(FunctionRef<Constraint*()> ahead) override {
    const bool has_more = here_ >= 0 && static_cast<size_t>(here_) < tokens_.size();
    if (has_more) return;
    Constraint* constraint = ahead();
    if (constraint == nullptr) return;
    here_ = 0;
    tokens_ = constraint->forced(Deadline::in(kTime));
  }

 private:
  std::vector<Token> tokens_;  // that were forced where it looked last
  int here_ = -1;              // how many of them have come; -1: others
};

}  // namespace

std::vector<StartSource> forced_sources() {
  return {[](const DraftStart&) { return std::make_unique<Forced>(); }};
}

DrafterKind forced_kind() {
  return guessing_kind("forced", "what a grammar or schema leaves no choice about", 48, 0.3,
                       forced_sources);
}

}  // namespace tessera
