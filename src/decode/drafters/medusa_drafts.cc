#include "decode/drafters/medusa_drafts.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "base/timer.h"
#include "decode/random.h"

namespace tessera {
namespace {

// Guesses of one head at most: those of the first are worth more rows than those of the last.
constexpr int kMostGuesses = 6;
int guesses_of(int head) {
  return std::max(2, kMostGuesses - head);
}

// A guess is as good as its head and its rank, and as it was far from the first; the first, from
// the second. In logits, noise included, from each on.
constexpr std::array kMargins = {0.0F, 0.5F, 1.0F, 2.0F, 4.0F};

int bucket_of(int head, int rank, float margin) {
  const auto above = std::ranges::upper_bound(kMargins, margin);
  const auto step = std::max<std::ptrdiff_t>(0, above - kMargins.begin() - 1);
  return (head * kMostGuesses + rank) * static_cast<int>(kMargins.size()) + static_cast<int>(step);
}

// As published for heads of 7B models, roughly: the first is right in .58, .34, .21 of the cases.
std::vector<float> first_chances() {
  constexpr std::array kOfFirst = {0.5F, 0.7F, 0.9F, 1.15F, 1.5F};
  constexpr std::array kOfOthers = {0.3F, 0.22F, 0.15F, 0.08F, 0.03F};
  std::vector<float> chances;
  float right = 0.58F;
  for (int head = 0; head < MedusaHeads::kMost; ++head, right *= 0.6F) {
    for (int rank = 0; rank < kMostGuesses; ++rank) {
      for (size_t step = 0; step < kMargins.size(); ++step) {
        const float other = (1 - right) * kOfOthers[step] / static_cast<float>(std::max(1, rank));
        chances.push_back(rank == 0 ? right * kOfFirst[step] : other);
      }
    }
  }
  return chances;
}

constexpr float kNothing = -std::numeric_limits<float>::infinity();
constexpr double kLearned = 0.05;

}  // namespace

std::span<const float> MedusaText::chances() const {
  static const std::vector<float> chances = first_chances();
  return chances;
}

void MedusaText::guess(Place place, std::vector<Guess>& to) const {
  const auto at = static_cast<size_t>(place.at);
  if (at < levels_.size()) to.insert(to.end(), levels_[at].begin(), levels_[at].end());
}

void MedusaDrafts::remember(MedusaText& text, std::span<const float> hidden, size_t size) const {
  text.hidden_.assign(hidden.begin(), hidden.end());
  text.hidden_size_ = size;
}

double MedusaDrafts::expected(const Request& request) const {
  double sum = 0, chance = 1;
  for (int head = 0; head < heads_.heads(); ++head) {
    chance *= request.rates->rate(bucket_of(head, 0, 0), static_cast<int>(kMargins.size()));
    sum += chance;
  }
  return sum;
}

void MedusaDrafts::foretell(std::span<const Request> requests) {
  while (!requests.empty()) {
    const auto part = requests.first(std::min<size_t>(requests.size(), MedusaHeads::kRows));
    requests = requests.subspan(part.size());
    const Timer timer;
    hidden_.clear();
    for (const Request& request : part)
      hidden_.insert(hidden_.end(), request.text->hidden_.begin(), request.text->hidden_.end());
    const HostRows logits = heads_.forward(hidden_);
    for (size_t i = 0; i < part.size(); ++i)
      draw(part[i], logits, static_cast<int>(i), static_cast<int>(part.size()));
    const double seconds = timer.seconds();
    seconds_of_pass_ += (seconds_of_pass_ == 0 ? 1 : kLearned) * (seconds - seconds_of_pass_);
  }
}

// What the sampler would draw of each head's logits behind the first guesses of the heads before;
// then without that token, and so on. Its constraint is left out, as it may depend on those.
void MedusaDrafts::draw(const Request& request, HostRows logits, int row, int stride) {
  MedusaText& text = *request.text;
  text.levels_.clear();
  text.here_ = 0;
  Sampler sampler(request.sampler->options());
  const float temperature = sampler.options().temperature;
  std::vector<Token> tokens(request.tokens.begin(), request.tokens.end());
  for (int head = 0; head < heads_.heads(); ++head) {
    const auto said = logits.row(head * stride + row);
    logits_.assign(said.begin(), said.end());
    std::vector<Guess>& guesses = text.levels_.emplace_back();
    const auto strength = [&](Token token) {
      const float noise = temperature > 0 ? temperature * gumbel(sampler.seed(), tokens.size(),
                                                                 static_cast<uint32_t>(token))
                                          : 0.0F;
      return said[static_cast<size_t>(token)] + noise;
    };
    float first = 0;
    for (int rank = 0; rank < guesses_of(head); ++rank) {
      const Token token = sampler.choose(logits_, tokens, request.prompt_size);
      if (std::exchange(logits_[static_cast<size_t>(token)], kNothing) == kNothing) break;
      const float strong = strength(token);
      if (rank == 0) first = strong;
      if (rank == 1) guesses[0].bucket = bucket_of(head, 0, first - strong);
      guesses.push_back(
          {token, bucket_of(head, rank, rank == 0 ? kMargins.back() : first - strong)});
    }
    if (guesses.empty()) return;
    tokens.push_back(guesses[0].token);
  }
}

}  // namespace tessera
