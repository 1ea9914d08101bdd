#include "decode/drafters/text_source.h"

#include <algorithm>
#include <array>

namespace tessera {
namespace {

// Guesses after longer matches are surer. So are those after what occurred more than once and went
// on alike; where it went on in several ways, the one it took last is the likeliest to be taken
// again.
constexpr std::array kMatchLengths = {1, 2, 3, 4, 5, 7, 10, 16, 32};
enum Kind { kOnce, kAlways, kLatest, kBeforeThat, kOther, kKinds };
constexpr std::array<float, kKinds * kMatchLengths.size()> kMatchChances = {
    0.12F, 0.25F, 0.40F, 0.50F, 0.60F, 0.70F, 0.75F, 0.80F, 0.90F,   // occurred once
    0.30F, 0.45F, 0.60F, 0.70F, 0.75F, 0.80F, 0.85F, 0.90F, 0.95F,   // always went on like this
    0.20F, 0.25F, 0.35F, 0.40F, 0.45F, 0.50F, 0.60F, 0.65F, 0.70F,   // did so last
    0.10F, 0.15F, 0.18F, 0.20F, 0.22F, 0.25F, 0.25F, 0.25F, 0.25F,   // and before that
    0.15F, 0.15F, 0.12F, 0.12F, 0.10F, 0.10F, 0.10F, 0.10F, 0.10F};  // in any other way

int bucket_of(int length, Kind kind) {
  const auto longer = std::ranges::upper_bound(kMatchLengths, length);
  const auto known = static_cast<int>(longer - kMatchLengths.begin()) - 1;
  return known + static_cast<int>(kind * kMatchLengths.size());
}

}  // namespace

std::span<const float> TextSource::chances() const {
  return kMatchChances;
}

GuessSource::Place TextSource::after(Place place, Token token) const {
  const auto match = text_->read({place.at, place.length}, token);
  return {match.state, match.length};
}

void TextSource::guess(Place place, std::vector<Guess>& to) const {
  text_->successors({place.at, place.length}, successors_);
  std::erase_if(successors_, [](const auto& next) { return next.token == kBreak; });
  if (successors_.empty()) return;
  if (successors_.size() == 1) {
    const auto& only = successors_.front();
    to.push_back({only.token, bucket_of(place.length, only.count > 1 ? kAlways : kOnce)});
    return;
  }
  std::ranges::sort(successors_, std::greater(), &SuffixAutomaton::Successor::latest);
  int others = 0;
  for (size_t i = 2; i < successors_.size(); ++i) others += successors_[i].count;
  for (size_t i = 0; i < successors_.size(); ++i) {
    const auto& next = successors_[i];
    const Kind kind = i == 0 ? kLatest : i == 1 ? kBeforeThat : kOther;
    const float share =
        kind == kOther ? static_cast<float>(next.count) / static_cast<float>(others) : 1;
    to.push_back({next.token, bucket_of(place.length, kind), share});
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
