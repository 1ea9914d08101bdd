#include "decode/drafters/text_source.h"

#include <algorithm>
#include <array>

namespace tessera {
namespace {

// Guesses after longer matches are surer, and so are those after what occurred more than once.
constexpr std::array kMatchLengths = {1, 2, 3, 4, 5, 7, 10, 16, 32};
constexpr std::array<float, 2 * kMatchLengths.size()> kChances = {
    0.12F, 0.25F, 0.40F, 0.50F, 0.60F, 0.70F, 0.75F, 0.80F, 0.90F,  // occurred once
    0.30F, 0.45F, 0.60F, 0.70F, 0.75F, 0.80F, 0.85F, 0.90F, 0.95F};

int bucket_of(int length, int occurrences) {
  const auto longer = std::ranges::upper_bound(kMatchLengths, length);
  const auto known = static_cast<int>(longer - kMatchLengths.begin()) - 1;
  return known + (occurrences > 1 ? static_cast<int>(kMatchLengths.size()) : 0);
}

}  // namespace

std::span<const float> TextSource::chances() const {
  return kChances;
}

GuessSource::Place TextSource::after(Place place, Token token) const {
  const auto match = text_->read({place.at, place.length}, token);
  return {match.state, match.length};
}

void TextSource::guess(Place place, std::vector<Guess>& to) const {
  text_->successors({place.at, place.length}, successors_);
  int total = 0;
  for (const auto& next : successors_) total += next.count;
  for (const auto& next : successors_) {
    if (next.token == kBreak) continue;  // a text ended here
    to.push_back({next.token, bucket_of(place.length, total),
                  static_cast<float>(next.count) / static_cast<float>(total)});
  }
}

void TextSource::read(Token token, bool of_answer) {
  if (of_answer || reads_ == kAll) match_ = text_->read(match_, token);
}

void TextSource::look_into(const std::shared_ptr<const SuffixAutomaton>& text) {
  if (text == text_) return;
  text_ = text;
  match_ = {};
}

}  // namespace tessera
