// A drafter is one file: this one, which nothing else knows of. It guesses that a token is followed
// by what it was followed by last, in whatever sequence, which it learns by observing.
#include <gtest/gtest.h>

#include <random>
#include <unordered_map>

#include "decode/decoder.h"
#include "engine/engine.h"
#include "files/gguf/reader.h"
#include "support/run_to_end.h"
#include "support/temp_folder.h"
#include "support/test_backend.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

struct Seen : DraftState {
  size_t tokens = 0;  // of the sequence
  int steps = 0;
};

class Successors final : public Drafter {
 public:
  std::unique_ptr<DraftState> start(const DraftStart&) override { return std::make_unique<Seen>(); }

  void propose(std::span<DraftRequest> requests, const StepPlan&) override {
    largest_batch = std::max(largest_batch, requests.size());
    for (DraftRequest& request : requests) {
      auto next = successor_.find(request.tokens.back());
      while (next != successor_.end() && request.tree.size() < request.room) {
        request.tree.add(next->second, request.tree.size() - 1);
        next = successor_.find(next->second);
      }
    }
  }

  void observe(std::span<const Observation> observations, StepRows& rows) override {
    for (const Observation& seen : observations) {
      auto& state = static_cast<Seen&>(*seen.state);
      EXPECT_EQ(seen.tokens.size(),
                std::max(state.tokens, seen.tokens.size() - seen.committed) + seen.committed);
      EXPECT_EQ(seen.committed > 0, seen.first_logits >= 0);
      if (seen.tree != nullptr) {
        EXPECT_EQ(seen.rows, seen.tree->size());
        // The token that was accepted below node 0 is the one whose logits won there (greedy).
        const auto row = rows.logits().row(seen.first_logits);
        EXPECT_EQ(std::ranges::max_element(row) - row.begin(),
                  seen.tokens[seen.tokens.size() - seen.committed]);
        EXPECT_EQ(rows.hidden_states(seen.first_row, seen.rows).rows, seen.rows);
      }
      for (size_t i = seen.tokens.size() - seen.committed; i < seen.tokens.size(); ++i)
        successor_[seen.tokens[i - 1]] = seen.tokens[i];
      state.tokens = seen.tokens.size();
      ++state.steps;
    }
  }

  static inline size_t largest_batch = 0;

 private:
  std::unordered_map<Token, Token> successor_;
};

TEST(ToyDrafter, IsOneFileAndChangesNoToken) {
  add_drafter({.name = "toy",
               .note = "what came next last time",
               .settings = {},
               .make = [](const DraftMeans&) { return std::make_unique<Successors>(); }});
  const test::TempFolder folder;
  Model model(std::make_shared<const GgufFile>(GgufFile::open(write_tiny_model({}, folder.path()))),
              make_test_backend(2), {.context = 0, .rows = 64, .wanted_rows = 32});
  const auto answers = [&](const std::string& decoder) {
    Engine engine(model, {.kv_blocks = 64}, [](Token) { return false; });
    std::vector<std::shared_ptr<Sequence>> sequences;
    std::mt19937 random(3);
    for (int i = 0; i < 4; ++i) {
      Request request;
      for (int t = 0; t < 10 + 20 * i; ++t)
        request.prompt.push_back(static_cast<Token>(random() % 300));
      request.max_tokens = 80;
      request.sampling.temperature = 0;
      request.decoder = i == 3 ? "plain" : decoder;  // side by side
      sequences.push_back(engine.add(std::move(request)));
    }
    run_to_end(engine);
    return sequences;
  };
  const auto plain = answers("plain"), drafted = answers("toy");
  int accepted = 0;
  for (size_t i = 0; i < plain.size(); ++i) {
    EXPECT_EQ(drafted[i]->tokens, plain[i]->tokens) << i;
    accepted += drafted[i]->statistics.accepted;
    if (i == 3) continue;
    EXPECT_GT(static_cast<const Seen&>(*drafted[i]->draft_state).steps, 0);
  }
  EXPECT_GT(accepted, 0);
  EXPECT_EQ(Successors::largest_batch, 3u) << "all sequences that draft are asked at once";
}

}  // namespace
}  // namespace tessera
