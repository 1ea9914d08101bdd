// A drafter that is often wrong in all ways: random trees over the tokens that are to come, wrong
// ones and forbidden ones.
#pragma once

#include <random>
#include <utility>
#include <vector>

#include "decode/drafter.h"

namespace tessera {

class RandomDrafter final : public Drafter {
 public:
  // `answer`: prompt and answer as they will be.
  explicit RandomDrafter(std::vector<Token> answer, uint32_t seed = 9)
      : answer_(std::move(answer)), random_(seed) {}

  void propose(std::span<DraftRequest> requests, const StepPlan&) override {
    for (DraftRequest& request : requests) draft(request);
  }

 private:
  void draft(DraftRequest& request) {
    std::vector<int> depth;
    for (int i = static_cast<int>(random_() % (request.room + 1)); i > 0; --i) {
      const int parent = static_cast<int>(random_() % (depth.size() + 1)) - 1;
      depth.push_back(parent < 0 ? 0 : depth[parent] + 1);
      const size_t position = request.tokens.size() + depth.back();
      const bool right = position < answer_.size() && random_() % 3 != 0;
      request.tree.add(right ? answer_[position] : static_cast<Token>(random_() % 300), parent);
    }
  }

  std::vector<Token> answer_;
  std::mt19937 random_;
};

}  // namespace tessera
