// Drafts what followed before: in the text so far, in what the answer is expected to be, in answers
// of late to others. Needs no model; pays off where answers quote, edit or repeat.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "decode/drafters/drafters.h"
#include "decode/drafters/likely_tree.h"
#include "decode/suffix_automaton.h"

namespace tessera {
namespace {

// No token of any text: what stands before one is not followed by what stands behind it.
constexpr Token kBreak = -1;

using SharedText = std::shared_ptr<const SuffixAutomaton>;

// A place in some text, moved by what a sequence says.
struct Reader {
  SharedText text;
  SuffixAutomaton::Match match = {};

  void read(Token token) { match = text->read(match, token); }
};

// The answers of late to requests of one salt, in two parts: one that grows, and the one before. So
// memory has a bound, and the oldest is forgotten. About 10 MB when full.
class History {
 public:
  void add(std::span<const Token> answer) {
    for (const Token token : answer) latest_->append(token);
    latest_->append(kBreak);
    if (latest_->size() < kPartTokens) return;
    before_ = std::exchange(latest_, std::make_shared<SuffixAutomaton>());
  }
  SharedText latest() const { return latest_; }
  SharedText before() const { return before_; }

 private:
  static constexpr size_t kPartTokens = 1 << 15;
  std::shared_ptr<SuffixAutomaton> latest_ = std::make_shared<SuffixAutomaton>();
  SharedText before_ = std::make_shared<SuffixAutomaton>();
};

class LookupState final : public DraftState {
 public:
  LookupState(const DraftStart& start, std::shared_ptr<History> history)
      : nodes_(static_cast<int>(start.values.at("nodes"))),
        least_(start.values.at("least")),
        history_(std::move(history)),
        latest_{history_->latest()},
        before_{history_->before()} {
    if (start.prediction.empty()) return;
    // The answer is expected to begin where the prediction does.
    auto expected = std::make_shared<SuffixAutomaton>();
    expected->append(kBreak);
    for (const Token token : start.prediction) expected->append(token);
    prediction_ = {std::move(expected)};
    prediction_.read(kBreak);
  }

  void catch_up(std::span<const Token> tokens, size_t prompt_size) {
    follow_history();
    for (; read_ < tokens.size(); ++read_) {
      const Token token = tokens[read_];
      own_match_ = own_.read(own_match_, token);
      own_.append(token);
      latest_.read(token);
      before_.read(token);
      if (read_ >= prompt_size && prediction_.text != nullptr) prediction_.read(token);
    }
  }

  // Of all places the one from which most is expected.
  TokenTree draft(int room) const {
    const int nodes = std::min(nodes_, room);
    LikelyTree best = likely_tree(own_, own_match_, nodes, least_);
    for (const Reader* reader : {&prediction_, &latest_, &before_}) {
      if (reader->text == nullptr) continue;
      LikelyTree other = likely_tree(*reader->text, reader->match, nodes, least_);
      if (other.expected > best.expected) best = std::move(other);
    }
    return std::move(best.tree);
  }

  History& history() { return *history_; }

 private:
  void follow_history() {
    if (latest_.text == history_->latest()) return;
    before_ = latest_.text == history_->before() ? latest_ : Reader{history_->before()};
    latest_ = {history_->latest()};
  }

  int nodes_;
  double least_;
  SuffixAutomaton own_;
  SuffixAutomaton::Match own_match_;
  size_t read_ = 0;
  std::shared_ptr<History> history_;
  Reader prediction_, latest_, before_;
};

class Lookup final : public Drafter {
 public:
  std::unique_ptr<DraftState> start(const DraftStart& sequence) override {
    return std::make_unique<LookupState>(sequence, history_of(sequence.cache_salt));
  }

  void propose(std::span<DraftRequest> requests) override {
    for (DraftRequest& request : requests) {
      auto& state = static_cast<LookupState&>(*request.state);
      state.catch_up(request.tokens, request.prompt_size);
      request.tree = state.draft(request.room);
    }
  }

  void observe(std::span<const Observation> observations, StepRows&) override {
    for (const Observation& seen : observations) {
      if (!seen.finished) continue;
      static_cast<LookupState&>(*seen.state).history().add(seen.tokens.subspan(seen.prompt_size));
    }
  }

 private:
  // Salts that nobody has used for longest are forgotten.
  std::shared_ptr<History> history_of(const std::string& salt) {
    const auto found = std::ranges::find(histories_, salt, &Salted::first);
    if (found != histories_.end()) {
      std::rotate(histories_.begin(), found, found + 1);
    } else {
      histories_.emplace(histories_.begin(), salt, std::make_shared<History>());
      if (histories_.size() > kMostSalts) histories_.pop_back();
    }
    return histories_.front().second;
  }

  using Salted = std::pair<std::string, std::shared_ptr<History>>;
  static constexpr size_t kMostSalts = 8;

  std::vector<Salted> histories_;  // the one used last is the first
};

}  // namespace

std::unique_ptr<Drafter> make_lookup() {
  return std::make_unique<Lookup>();
}

DrafterKind lookup_kind() {
  return {
      .name = "lookup",
      .note = "what followed the last tokens before",
      .settings = {{"nodes", "most nodes of a tree", 48, 1, 256, true},
                   {"least", "least chance of being right that a node must have", 0.2, 0.01, 1}},
      .make = [](Model&) { return make_lookup(); }};
}

}  // namespace tessera
