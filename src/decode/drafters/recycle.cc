// Token recycling (Luo et al. 2025, arXiv 2408.08696): after a token, guesses what the model held
// likely when that token came last, in whatever text. Pays off a little everywhere.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <unordered_map>
#include <utility>

#include "decode/block_maxima.h"
#include "decode/drafters/drafters.h"
#include "decode/drafters/guessing_drafter.h"
#include "decode/salted.h"

namespace tessera {
namespace {

constexpr size_t kMostRecycled = 8;

// A guess is as good as its rank, and as its logit was far from the likeliest one's; the likeliest
// one's, from the second's.
constexpr std::array kRecycleMargins = {0.0F, 0.5F, 1.0F, 2.0F, 4.0F};
constexpr std::array<float, kMostRecycled * kRecycleMargins.size()> kRecycleChances = {
    0.20F, 0.22F, 0.25F, 0.35F, 0.55F,  // the likeliest, by its margin
    0.15F, 0.12F, 0.10F, 0.07F, 0.03F,  // the others, by how much they fall behind
    0.10F, 0.08F, 0.07F, 0.05F, 0.02F, 0.07F, 0.06F, 0.05F, 0.03F, 0.01F,
    0.05F, 0.05F, 0.04F, 0.02F, 0.01F, 0.04F, 0.04F, 0.03F, 0.02F, 0.01F,
    0.03F, 0.03F, 0.03F, 0.02F, 0.01F, 0.03F, 0.03F, 0.02F, 0.02F, 0.01F};

int bucket_of(size_t rank, float margin) {
  const auto above = std::ranges::upper_bound(kRecycleMargins, margin);
  const auto step = std::max<std::ptrdiff_t>(0, above - kRecycleMargins.begin() - 1);
  return static_cast<int>(rank * kRecycleMargins.size()) + static_cast<int>(step);
}

// What was likely after each token, the latest time that the model was asked.
class Successors {
 public:
  void learn(Token token, std::span<const float> logits) {
    find_block_maxima(logits, maxima_);
    // The eight largest are no smaller than the eighth of the blocks' largest.
    constexpr float kNone = -std::numeric_limits<float>::infinity();
    std::array<float, kMostRecycled> largest;  // descending
    largest.fill(kNone);
    for (const float maximum : maxima_) {
      if (!(maximum > largest.back())) continue;
      const auto place = std::ranges::upper_bound(largest, maximum, std::greater());
      std::move_backward(place, largest.end() - 1, largest.end());
      *place = maximum;
    }
    likely_.clear();
    visit_at_least(logits, maxima_, largest.back(),
                   [&](float logit, Token t) { likely_.emplace_back(logit, t); });
    std::ranges::stable_sort(likely_, std::greater(), &std::pair<float, Token>::first);
    likely_.resize(std::min(likely_.size(), kMostRecycled));
    std::vector<Guess>& guesses = of_[token];
    guesses.clear();
    for (size_t rank = 0; rank < likely_.size(); ++rank) {
      const size_t other = rank > 0 ? 0 : std::min<size_t>(1, likely_.size() - 1);
      const float margin = std::abs(likely_[other].first - likely_[rank].first);
      guesses.push_back({likely_[rank].second, bucket_of(rank, margin)});
    }
  }
  std::span<const Guess> after(Token token) const {
    const auto found = of_.find(token);
    return found == of_.end() ? std::span<const Guess>() : found->second;
  }

 private:
  std::unordered_map<Token, std::vector<Guess>> of_;
  // Reused between calls.
  std::vector<float> maxima_;
  std::vector<std::pair<float, Token>> likely_;
};

class Recycling final : public GuessSource {
 public:
  explicit Recycling(std::shared_ptr<Successors> successors) : successors_(std::move(successors)) {}

  std::span<const float> chances() const override { return kRecycleChances; }
  Place here() const override { return {last_}; }
  Place after(Place, Token token) const override { return {token}; }
  void guess(Place place, std::vector<Guess>& to) const override {
    const auto guesses = successors_->after(place.at);
    to.insert(to.end(), guesses.begin(), guesses.end());
  }
  void read(Token token, bool) override { last_ = token; }
  bool wants_logits() const override { return true; }
  void learn(std::span<const Token> tokens, std::span<const float> logits) override {
    successors_->learn(tokens.back(), logits);
  }

 private:
  std::shared_ptr<Successors> successors_;
  Token last_ = -1;
};

std::vector<StartSource> recycling_sources() {
  auto successors = std::make_shared<Salted<Successors>>();
  return {[successors](const DraftStart& sequence) {
    return std::make_unique<Recycling>(successors->of(sequence.cache_salt));
  }};
}

}  // namespace

DrafterKind recycle_kind() {
  return guessing_kind("recycle", "what was likely after the last token when it came before", 16,
                       0.05, recycling_sources);
}

}  // namespace tessera
