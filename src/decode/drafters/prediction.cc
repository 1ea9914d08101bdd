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

struct Prediction {
  explicit Prediction(std::span<const Token> tokens) : text(tokens.begin(), tokens.end()) {
    for (const Token token : text) automaton.append(token);
  }
  std::vector<Token> text;
  SuffixAutomaton automaton;
};

// n answers to one request expect the same: it is kept once, as long as one of them goes on.
class LatestPrediction {
 public:
  std::shared_ptr<const Prediction> of(std::span<const Token> text) {
    auto prediction = latest_.lock();
    if (prediction == nullptr || !std::ranges::equal(prediction->text, text))
      latest_ = prediction = std::make_shared<const Prediction>(text);
    return prediction;
  }

 private:
  std::weak_ptr<const Prediction> latest_;
};

// By how many tokens went as expected since the last difference: guesses are surer after more. In
// front, right after a difference: the text goes on behind what was replaced, or where it was.
constexpr int kReplaced = 0, kInserted = 1;
constexpr std::array kRuns = {1, 2, 3, 5, 9, 17};
constexpr std::array<float, 2 + kRuns.size()> kPredictionChances = {0.3F,  0.2F, 0.6F,  0.7F,
                                                                    0.85F, 0.9F, 0.95F, 0.97F};

int bucket_of(int run) {
  return static_cast<int>(std::ranges::upper_bound(kRuns, run) - kRuns.begin()) + 1;
}

// A place is that of ExpectedPlace.
class Expected final : public GuessSource {
 public:
  explicit Expected(std::shared_ptr<const Prediction> prediction)
      : prediction_(std::move(prediction)) {}

  std::span<const float> chances() const override { return kPredictionChances; }
  Place here() const override { return {here_.at, here_.run}; }
  Place after(Place place, Token token) const override {
    const ExpectedPlace next = follow(prediction_->text, {place.at, place.length}, token);
    return {next.at, next.run};
  }
  void guess(Place place, std::vector<Guess>& to) const override {
    const auto add = [&](int at, int bucket) {
      const std::vector<Token>& text = prediction_->text;
      if (at < std::ssize(text)) to.push_back({text[static_cast<size_t>(at)], bucket});
    };
    const ExpectedPlace expected{place.at, place.length};
    if (!expected.is_lost()) return add(expected.at, bucket_of(expected.run));
    add(expected.behind_replaced(), kReplaced);
    add(expected.at, kInserted);
  }
  void read(Token token, bool of_answer) override {
    if (of_answer) here_ = follow(prediction_->text, here_, token);
  }

 private:
  std::shared_ptr<const Prediction> prediction_;
  ExpectedPlace here_;
};

}  // namespace

std::vector<StartSource> prediction_sources() {
  auto latest = std::make_shared<LatestPrediction>();
  return {[latest](const DraftStart& sequence) -> std::unique_ptr<GuessSource> {
            if (sequence.prediction.empty()) return nullptr;
            return std::make_unique<Expected>(latest->of(sequence.prediction));
          },
          // Far from where the last difference was, it is found by what was read since.
          [latest](const DraftStart& sequence) -> std::unique_ptr<GuessSource> {
            if (sequence.prediction.empty()) return nullptr;
            const auto prediction = latest->of(sequence.prediction);
            return std::make_unique<TextSource>(
                std::shared_ptr<const SuffixAutomaton>(prediction, &prediction->automaton),
                TextSource::kAnswer);
          }};
}

DrafterKind prediction_kind() {
  return guessing_kind("prediction", "the text that the request expects", 48, 0.2,
                       prediction_sources);
}

}  // namespace tessera
