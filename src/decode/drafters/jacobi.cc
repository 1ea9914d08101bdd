// Jacobi decoding (Song et al. 2021, arXiv 2002.03629; Santilli et al. 2023, arXiv 2305.10427): a
// window of guesses, begun by chance, is run again and again, and each becomes what the model says
// behind the guess before it. Where they stay, the text has come so far. The baseline of lookahead
// decoding; gains hardly anything by itself.
#include <algorithm>
#include <memory>
#include <random>
#include <vector>

#include "decode/drafters/drafters.h"

namespace tessera {
namespace {

struct JacobiWindow final : DraftState {
  explicit JacobiWindow(int size) : size(size) {}
  int size;
  std::vector<Token> guesses;
  std::minstd_rand random;  // the same for all
};

class Jacobi final : public Drafter {
 public:
  std::unique_ptr<DraftState> start(const DraftStart& sequence) override {
    return std::make_unique<JacobiWindow>(static_cast<int>(sequence.values.find("window")->second));
  }

  void propose(std::span<DraftRequest> requests, const StepPlan&) override {
    for (DraftRequest& request : requests) {
      auto& window = static_cast<JacobiWindow&>(*request.state);
      while (std::ssize(window.guesses) < window.size)
        window.guesses.push_back(request.tokens[window.random() % request.tokens.size()]);
      for (int i = 0; i < std::min(request.room, window.size); ++i)
        request.tree.add(window.guesses[static_cast<size_t>(i)], i - 1);
    }
  }

  // The row of a guess tells the one behind it. What was committed is behind us, the guess that it
  // replaced included.
  void observe(std::span<const Observation> observations, StepRows& rows) override {
    for (const Observation& seen : observations) {
      if (seen.tree == nullptr) continue;
      auto& window = static_cast<JacobiWindow&>(*seen.state);
      window.guesses.clear();
      for (int node = static_cast<int>(seen.committed); node < seen.tree->size(); ++node)
        window.guesses.push_back(rows.likeliest(seen.first_logits + node));
    }
  }
};

}  // namespace

DrafterKind jacobi_kind() {
  return {.name = "jacobi",
          .note = "a window of guesses that the model corrects",
          .settings = {{"window", "guesses", 8, 1, 128, true}},
          .make = [](const DraftMeans&) { return std::make_unique<Jacobi>(); },
          .needs_draft_model = false};
}

}  // namespace tessera
