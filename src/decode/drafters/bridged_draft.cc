// Drafts of a model of another vocabulary: what it reads, and what becomes of what it says.
#include <algorithm>
#include <utility>

#include "decode/drafters/draft_model.h"

namespace tessera {

DraftModel::Request DraftModel::own(Request request) {
  auto& bridged = request.text->bridged_;
  if (!bridged) return request;
  static const Sampler kGreedy({.temperature = 0, .seed = 0});
  // The answer is taken to be as long as in the text's tokens.
  const size_t generated = request.tokens.size() - request.prompt_size;
  request.tokens = bridged->tokens();
  request.prompt_size = request.tokens.size() - std::min(generated, request.tokens.size());
  request.sampler = &kGreedy;
  return request;
}

// What was foretold in the draft model's own tokens becomes tokens of the text, each as sure as the
// least sure of those that it is made of.
void DraftedText::spell() {
  if (!bridged_) return;
  const std::vector<Level> own = std::exchange(levels_, {});
  std::vector<Token> tokens;
  for (const Level& level : own) tokens.push_back(level.token);
  const std::vector<BridgedText::Word> words = bridged_->spell(tokens);
  for (const BridgedText::Word& word : words) {
    const auto made_of = std::span(own).subspan(word.from, word.last - word.from + 1);
    const int bucket = std::ranges::min(made_of, {}, &Level::bucket).bucket;
    levels_.push_back({word.token, bucket + (word.ends ? 2 * kMargins : 0), {}});
    if (!made_of.front().second) continue;
    std::vector<Token> otherwise(tokens.begin(), tokens.begin() + static_cast<int>(word.from));
    otherwise.push_back(*made_of.front().second);
    const size_t depth = levels_.size() - 1;
    const std::vector<BridgedText::Word> others = bridged_->spell(otherwise);
    const auto before = std::span(words).first(depth);
    if (others.size() <= depth || others[depth].token == word.token) continue;
    if (std::ranges::equal(before, std::span(others).first(depth), {}, &BridgedText::Word::token,
                           &BridgedText::Word::token))
      levels_.back().second = others[depth].token;
  }
}

}  // namespace tessera
