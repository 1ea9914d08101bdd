#include "decode/typical.h"

#include <algorithm>
#include <cmath>

namespace tessera {
namespace {

class Search {
 public:
  Search(const TokenTree& tree, HostRows logits, Sampler& sampler, size_t prompt_size,
         TypicalAcceptance rule, Deadline deadline)
      : tree_(tree),
        logits_(logits),
        sampler_(sampler),
        prompt_size_(prompt_size),
        rule_(rule),
        deadline_(deadline) {}

  struct Path {
    std::vector<int32_t> nodes;  // from a node's child on, the last one first
    double log_chance = 0;
  };
  // Below a node, which ends `sequence`.
  Path longest(int32_t node, std::vector<Token>& sequence) {
    Path best;
    std::vector<int32_t> children;
    for (int32_t child = node + 1; child < tree_.size(); ++child) {
      if (tree_.parents[static_cast<size_t>(child)] == node) children.push_back(child);
    }
    if (children.empty()) return best;
    if (!sampler_.prepare(std::span(sequence).subspan(prompt_size_), deadline_)) return best;
    sampler_.probabilities(logits_.row(node), sequence, prompt_size_, probabilities_);
    const double least = std::min(rule_.epsilon, rule_.delta * std::exp(-entropy()));
    std::vector<double> chances;
    for (const int32_t child : children)
      chances.push_back(probabilities_[static_cast<size_t>(tree_.tokens[child])]);
    for (size_t i = 0; i < children.size(); ++i) {
      if (!(chances[i] > least)) continue;
      sequence.push_back(tree_.tokens[children[i]]);
      Path path = longest(children[i], sequence);
      sequence.pop_back();
      path.nodes.push_back(children[i]);
      path.log_chance += std::log(chances[i]);
      const bool is_better = path.nodes.size() != best.nodes.size()
                                 ? path.nodes.size() > best.nodes.size()
                                 : path.log_chance > best.log_chance;
      if (is_better) best = std::move(path);
    }
    return best;
  }

 private:
  double entropy() const {
    double sum = 0;
    for (const double p : probabilities_) sum -= p > 0 ? p * std::log(p) : 0;
    return sum;
  }

  const TokenTree& tree_;
  HostRows logits_;
  Sampler& sampler_;
  size_t prompt_size_;
  TypicalAcceptance rule_;
  Deadline deadline_;
  std::vector<double> probabilities_;
};

}  // namespace

std::vector<int32_t> typical_path(const TokenTree& tree, HostRows logits, Sampler& sampler,
                                  std::span<const Token> tokens, size_t prompt_size,
                                  TypicalAcceptance rule, Deadline deadline) {
  std::vector<Token> sequence(tokens.begin(), tokens.end());
  Search search(tree, logits, sampler, prompt_size, rule, deadline);
  std::vector<int32_t> path = search.longest(0, sequence).nodes;
  path.push_back(0);
  std::ranges::reverse(path);
  return path;
}

}  // namespace tessera
