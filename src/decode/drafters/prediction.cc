// Guesses that the answer goes on as it is expected to: the request says which text it resembles,
// for example the file that is being edited. After a difference it finds back into that text.
#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "decode/drafters/drafters.h"
#include "decode/drafters/guessing_drafter.h"
#include "decode/drafters/text_source.h"
#include "decode/expected_text.h"

namespace tessera {
namespace {

// By how many tokens went as expected since the last difference: guesses are surer after more. In
// front, right after a difference: the text goes on behind what was replaced, or where it was.
constexpr int kReplaced = 0, kInserted = 1;
constexpr std::array kRuns = {1, 2, 3, 5, 9, 17};
constexpr std::array<float, 2 + kRuns.size()> kChances = {0.3F,  0.2F, 0.6F,  0.7F,
                                                          0.85F, 0.9F, 0.95F, 0.97F};

int bucket_of(int run) {
  return static_cast<int>(std::ranges::upper_bound(kRuns, run) - kRuns.begin()) + 1;
}

// A place is that of ExpectedPlace.
class Expected final : public GuessSource {
 public:
  explicit Expected(std::span<const Token> text) : text_(text.begin(), text.end()) {}

  std::span<const float> chances() const override { return kChances; }
  Place here() const override { return {here_.at, here_.run}; }
  Place after(Place place, Token token) const override {
    const ExpectedPlace next = follow(text_, {place.at, place.length}, token);
    return {next.at, next.run};
  }
  void guess(Place place, std::vector<Guess>& to) const override {
    const auto add = [&](int at, int bucket) {
      if (at < std::ssize(text_)) to.push_back({text_[static_cast<size_t>(at)], bucket});
    };
    const ExpectedPlace expected{place.at, place.length};
    if (!expected.is_lost()) return add(expected.at, bucket_of(expected.run));
    add(expected.behind_replaced(), kReplaced);
    add(expected.at, kInserted);
  }
  void read(Token token, bool of_answer) override {
    if (of_answer) here_ = follow(text_, here_, token);
  }

 private:
  std::vector<Token> text_;
  ExpectedPlace here_;
};

}  // namespace

std::vector<StartSource> prediction_sources() {
  return {[](const DraftStart& sequence) -> std::unique_ptr<GuessSource> {
            if (sequence.prediction.empty()) return nullptr;
            return std::make_unique<Expected>(sequence.prediction);
          },
          // Far from where the last difference was, it is found by what was read since.
          [](const DraftStart& sequence) -> std::unique_ptr<GuessSource> {
            if (sequence.prediction.empty()) return nullptr;
            auto text = std::make_shared<SuffixAutomaton>();
            for (const Token token : sequence.prediction) text->append(token);
            return std::make_unique<TextSource>(std::move(text), TextSource::kAnswer);
          }};
}

DrafterKind prediction_kind() {
  return {.name = "prediction",
          .note = "the text that the request expects",
          .settings = tree_settings(48, 0.2),
          .make = [](Model&) { return std::make_unique<GuessingDrafter>(prediction_sources()); }};
}

}  // namespace tessera
