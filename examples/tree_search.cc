// Searches for a text by a scorer of its own: best of n, and Monte Carlo tree search (Coulom 2006,
// Kocsis and Szepesvari 2006). All texts that a round looks at are generated together, in one
// batch; forks share the keys and values of what they have in common and copy only what they write
// to.
//
//   tree_search [MODEL]
#include <tessera/tessera.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdint>
#include <exception>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr const char* kPrompt = "Three colours are";
constexpr int kPieceTokens = 6;  // that a node of the tree adds
constexpr int kPieces = 3;       // of a whole text

// What is searched for, from 0 to 1: here many words, each but once. Yours may run a test, check a
// sum, or ask another model.
double score(const std::string& text) {
  std::vector<std::string> words;
  std::string word;
  for (const char c : text + " ") {
    if (std::isalpha(static_cast<unsigned char>(c)) != 0) {
      word += c;
    } else if (!word.empty()) {
      words.push_back(std::move(word));
      word.clear();
    }
  }
  std::ranges::sort(words);
  const auto repeated = std::ranges::unique(words);
  const auto once = static_cast<double>(repeated.begin() - words.begin());
  return once / (once + static_cast<double>(repeated.size()) + 4);
}

// Branch i draws with the seed + i.
tessera::GenerateOptions drawn(int tokens, uint64_t seed) {
  tessera::GenerateOptions options;
  options.max_tokens = tokens;
  options.sampling.temperature = 1;
  options.sampling.seed = seed;
  return options;
}

struct Text {
  std::string text;
  double score = 0;
};

// n whole texts, of which the best is taken.
Text best_of(const tessera::Branch& start, int n) {
  std::vector<tessera::Branch> branches(static_cast<size_t>(n), start.fork());
  Text best;
  for (const auto& generation :
       tessera::Branch::generate(branches, drawn(kPieces * kPieceTokens, 1))) {
    const Text text{generation.text, score(generation.text)};
    if (text.score >= best.score) best = text;
  }
  return best;
}

struct Node {
  tessera::Branch branch;
  std::string text;
  Node* parent = nullptr;
  int depth = 0, visits = 0;
  double total = 0;  // of the scores of all texts that went through it
  std::vector<std::unique_ptr<Node>> children = {};
};

// The node that is worth a look: the mean of its scores, and a bonus while it was seldom visited
// (UCT).
Node& select(Node& root) {
  Node* node = &root;
  while (!node->children.empty()) {
    const double visits = std::log(static_cast<double>(node->visits));
    node = std::ranges::max_element(node->children, {}, [&](const auto& child) {
             return child->total / child->visits + std::sqrt(0.1 * visits / child->visits);
           })->get();
  }
  return *node;
}

Text tree_search(const tessera::Branch& start, int rounds, int width) {
  Node root{.branch = start.fork(), .text = ""};
  Text best;
  for (int round = 0; round < rounds; ++round) {
    Node& leaf = select(root);
    // Expansion: how the text may go on, unless it is whole. Then from each of these to the end.
    const bool is_whole = leaf.depth == kPieces;
    std::vector<tessera::Branch> branches(static_cast<size_t>(is_whole ? 1 : width),
                                          leaf.branch.fork());
    std::vector<std::string> texts(branches.size(), leaf.text);
    const auto go_on = [&](std::vector<tessera::Branch>& from, int tokens) {
      const auto seed = static_cast<uint64_t>(round) * 100;
      const auto generations = tessera::Branch::generate(from, drawn(tokens, seed));
      for (size_t i = 0; i < from.size(); ++i) texts[i] += generations[i].text;
    };
    if (!is_whole) {
      go_on(branches, kPieceTokens);
      for (size_t i = 0; i < branches.size(); ++i) {
        leaf.children.push_back(std::make_unique<Node>(Node{
            .branch = branches[i], .text = texts[i], .parent = &leaf, .depth = leaf.depth + 1}));
      }
      const int rest = (kPieces - leaf.depth - 1) * kPieceTokens;
      if (rest > 0) go_on(branches, rest);
    }
    for (size_t i = 0; i < texts.size(); ++i) {
      const Text text{texts[i], score(texts[i])};
      if (text.score >= best.score) best = text;
      for (Node* node = is_whole ? &leaf : leaf.children[i].get(); node != nullptr;
           node = node->parent) {
        ++node->visits;
        node->total += text.score;
      }
    }
  }
  return best;
}

}  // namespace

int main(int argc, char** argv) try {
  auto model = tessera::LanguageModel::load(argc > 1 ? argv[1] : "smollm2:135m");
  const tessera::Branch start = model.branch(kPrompt);
  const auto print = [](const char* how, const Text& found) {
    std::cout << how << ", " << found.score << ": " << kPrompt << "|" << found.text << "\n";
  };
  print("best of 8", best_of(start, 8));
  print("tree search", tree_search(start, 8, 4));
} catch (const std::exception& error) {
  std::cerr << "error: " << error.what() << "\n";
  return 1;
}
