// Guesses what followed before: in the text so far, in answers of late to others. Pays off where
// answers quote, edit or repeat.
#include <memory>
#include <utility>

#include "decode/drafters/drafters.h"
#include "decode/drafters/guessing_drafter.h"
#include "decode/drafters/text_source.h"
#include "decode/salted.h"

namespace tessera {
namespace {

// The text so far.
class OwnText final : public TextSource {
 public:
  OwnText() : OwnText(std::make_shared<SuffixAutomaton>()) {}

  void read(Token token, bool of_answer) override {
    TextSource::read(token, of_answer);
    text_->append(token);
  }

 private:
  explicit OwnText(std::shared_ptr<SuffixAutomaton> text)
      : TextSource(text), text_(std::move(text)) {}
  std::shared_ptr<SuffixAutomaton> text_;
};

// The answers of late to requests of one salt, in two parts: one that grows, and the one before. So
// memory has a bound, and the oldest is forgotten. About 1 MB when full.
class History {
 public:
  using Part = std::shared_ptr<SuffixAutomaton>;

  void add(std::span<const Token> answer) {
    for (const Token token : answer) latest_->append(token);
    latest_->append(TextSource::kBreak);
    if (latest_->size() < kPartTokens) return;
    before_ = std::exchange(latest_, std::make_shared<SuffixAutomaton>());
  }
  Part latest() const { return latest_; }
  Part before() const { return before_; }

 private:
  static constexpr size_t kPartTokens = 1 << 12;
  Part latest_ = std::make_shared<SuffixAutomaton>();
  Part before_ = std::make_shared<SuffixAutomaton>();
};

class LatestAnswers final : public TextSource {
 public:
  explicit LatestAnswers(std::shared_ptr<History> history)
      : TextSource(history->latest()), history_(std::move(history)) {}
  void read(Token token, bool of_answer) override {
    look_into(history_->latest());
    TextSource::read(token, of_answer);
  }
  void end(std::span<const Token> answer) override { history_->add(answer); }

 private:
  std::shared_ptr<History> history_;
};

class AnswersBefore final : public TextSource {
 public:
  explicit AnswersBefore(std::shared_ptr<History> history)
      : TextSource(history->before()), history_(std::move(history)) {}
  void read(Token token, bool of_answer) override {
    look_into(history_->before());
    TextSource::read(token, of_answer);
  }

 private:
  std::shared_ptr<History> history_;
};

}  // namespace

std::vector<StartSource> lookup_sources() {
  auto histories = std::make_shared<Salted<History>>();
  return {[](const DraftStart&) { return std::make_unique<OwnText>(); },
          [histories](const DraftStart& sequence) {
            return std::make_unique<LatestAnswers>(histories->of(sequence.cache_salt));
          },
          [histories](const DraftStart& sequence) {
            return std::make_unique<AnswersBefore>(histories->of(sequence.cache_salt));
          }};
}

DrafterKind lookup_kind() {
  return guessing_kind("lookup", "what followed the last tokens before", 48, 0.2, lookup_sources);
}

}  // namespace tessera
