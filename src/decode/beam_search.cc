#include "decode/beam_search.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace tessera {

void BeamOptions::validate() const {
  if (width < 1 || width > kMaxBeams)
    fail("the number of beams is {}, expected 1 to {}", width, kMaxBeams);
  if (!std::isfinite(length_penalty))
    fail("the length penalty is {}, expected a finite number", length_penalty);
}

BeamSearch::BeamSearch(const BeamOptions& options, int most_tokens)
    : options_(options), most_tokens_(most_tokens), beams_(1) {}

double BeamSearch::score(double logprob, int length) const {
  return logprob / std::pow(static_cast<double>(length), options_.length_penalty);
}

std::vector<BeamSearch::Candidate> BeamSearch::best(std::span<const std::vector<BeamToken>> next,
                                                    int count) const {
  std::vector<Candidate> all;
  for (int parent = 0; parent < static_cast<int>(next.size()); ++parent) {
    for (const BeamToken& token : next[static_cast<size_t>(parent)]) {
      all.push_back({.parent = parent,
                     .token = token,
                     .logprob = beams_[static_cast<size_t>(parent)].logprob +
                                static_cast<double>(token.logprob)});
    }
  }
  std::ranges::sort(all, [](const Candidate& a, const Candidate& b) {
    if (a.logprob != b.logprob) return a.logprob > b.logprob;
    return std::pair(a.parent, a.token.token) < std::pair(b.parent, b.token.token);
  });
  if (all.size() > static_cast<size_t>(count)) all.resize(static_cast<size_t>(count));
  return all;
}

int BeamSearch::add_node(const Candidate& candidate) {
  nodes_.push_back({.before = beams_[static_cast<size_t>(candidate.parent)].node,
                    .parent = candidate.parent,
                    .token = candidate.token.token,
                    .raw = candidate.token.raw});
  return nodes() - 1;
}

bool BeamSearch::step(std::span<const Candidate> candidates) {
  ++length_;
  const auto width = static_cast<size_t>(options_.width);
  std::vector<Beam> beams;
  for (size_t i = 0; i < candidates.size(); ++i) {
    const Candidate& c = candidates[i];
    if (!c.ends && beams.size() < width) {
      beams.push_back({.node = add_node(c), .logprob = c.logprob});
    } else if (c.ends && i < width) {
      results_.push_back({.node = add_node(c), .score = score(c.logprob, length_)});
    }
  }
  std::ranges::stable_sort(results_, std::ranges::greater(), &Result::score);
  if (results_.size() > width) results_.resize(width);
  beams_ = std::move(beams);
  return !is_over();
}

bool BeamSearch::is_over() const {
  if (beams_.empty()) return true;
  if (results_.size() < static_cast<size_t>(options_.width)) return false;
  if (options_.early_stopping == EarlyStopping::kYes) return true;
  const bool grows =
      options_.early_stopping == EarlyStopping::kNever && options_.length_penalty > 0;
  const double hoped_for = score(beams_.front().logprob, grows ? most_tokens_ : length_);
  return !(hoped_for > results_.back().score);
}

std::vector<int> BeamSearch::path(int node) const {
  std::vector<int> path;
  for (; node >= 0; node = this->node(node).before) path.push_back(node);
  std::ranges::reverse(path);
  return path;
}

std::vector<Token> BeamSearch::answer(int node) const {
  std::vector<Token> tokens;
  for (const int n : path(node)) tokens.push_back(this->node(n).token);
  return tokens;
}

}  // namespace tessera
