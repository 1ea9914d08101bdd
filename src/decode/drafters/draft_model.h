// A smaller model that foretells how texts go on (speculative decoding, Leviathan et al. 2023,
// arXiv 2211.17192; Chen et al. 2023, arXiv 2302.01318).
//
// It draws as the texts' own samplers will, with their noise, filters, penalties and constraints:
// so it says what they say wherever it thinks alike, at any temperature (Daliri et al. 2025), and
// never what a constraint forbids. How sure a guess is, its margin tells: by how much the drawn
// token won over the second. That is more than its probability, which knows nothing of the noise.
//
// One of another vocabulary reads and writes by way of bytes (text/vocabulary_bridge.h; Timor et
// al. 2025, arXiv 2502.05202). Noise belongs to tokens, so it can draw greedily only.
#pragma once

#include <array>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "base/function_ref.h"
#include "cache/block_table.h"
#include "decode/drafter.h"
#include "decode/drafters/drawn_guess.h"
#include "decode/guess_source.h"
#include "decode/hit_rates.h"
#include "decode/step_cost.h"
#include "text/vocabulary_bridge.h"

namespace tessera {

// What was foretold of one text, and the draft model's keys and values of it. They need memory, and
// can be lost: then the text is read again.
class DraftedText final : public GuessSource {
 public:
  // DrawnGuess's buckets; then, by margin, those of a drafted token that may be the beginning of a
  // longer one.
  static constexpr int kMargins = DrawnGuess::kMargins;

  std::span<const float> chances() const override;
  Place here() const override { return {here_}; }
  Place after(Place place, Token token) const override;
  void guess(Place place, std::vector<Guess>& to) const override;
  void read(Token token, bool of_answer) override;
  void end(std::span<const Token> answer) override;
  ~DraftedText() override;

  bool is_foretold() const { return !levels_.empty(); }
  // Tokens that the draft model has not read. As many as are new, if it has read anything.
  int unread(std::span<const Token> tokens) const;

 private:
  friend class DraftModel;
  using Level = DrawnGuess;
  struct Memory {
    explicit Memory(int blocks) : pool(blocks, kBlockTokens) {}
    BlockPool pool;
    std::list<DraftedText*> texts;
  };
  DraftedText(std::shared_ptr<Memory> memory, std::string_view cache_salt,
              const VocabularyBridge* bridge);
  void forget();
  void keep_common(std::span<const Token> tokens);
  void spell();
  void publish(std::span<const Token> tokens);

  std::shared_ptr<Memory> memory_;
  std::list<DraftedText*>::iterator place_;
  BlockTable blocks_;
  std::vector<Token> computed_;         // whose keys and values are in the blocks
  std::vector<Level> levels_;           // what was foretold
  std::optional<BridgedText> bridged_;  // if the draft model has a vocabulary of its own
  int here_ = -1;                       // how far the text has followed that; -1: it has not
  std::optional<Sampler> sampler_;
};

class DraftModel {
 public:
  // Of its keys and values, whatever the answers' are in: every model can have it.
  static constexpr KvFormat kKvFormat = KvFormat::kF16;

  struct Request {
    DraftedText* text;
    std::span<const Token> tokens;  // prompt and answer so far
    size_t prompt_size;
    const Sampler* sampler;
    const HitRates* rates;  // of the text's buckets
    int most;               // tokens to foretell
  };
  // Whether the text of a request is foretold further, by one token more. `depth`: how many were
  // foretold already; `chance`: that all of them are right; `texts`: that go on at most.
  using GoesOn = FunctionRef<bool(size_t request, int depth, double chance, int texts)>;

  explicit DraftModel(const DraftMeans& means);

  std::unique_ptr<DraftedText> start(const DraftStart& sequence);
  // Requests are made of a text's tokens; the model wants them in its own, and with a sampler for
  // these. May have no tokens, and is then to be left out.
  static Request own(Request request);
  // Reads texts in parts, so that no step waits for long. Takes as many tokens of them as it reads.
  void read(std::span<const Request> requests);
  // Of texts of which little is unread.
  void foretell(std::span<const Request> requests, GoesOn goes_on);

  // Of a text of which so few tokens are unread, nothing needs to be read before.
  static constexpr int kFewUnread = 64;
  // Seconds of a step of so many texts, and of reading, as far as known.
  double seconds(int rows) const { return cost_.seconds(rows); }
  // Its weights, as a part of those of the model whose answers it drafts.
  double relative_cost() const { return relative_cost_; }

 private:
  HostRows run(const Batch& batch);
  void run_ahead(std::span<const Request> requests, GoesOn goes_on);
  bool reserve(const Request& request, int tokens, std::span<const Request> all);

  Model& model_;
  double relative_cost_;
  const VocabularyBridge* bridge_;  // null: the vocabulary is the texts'
  std::shared_ptr<DraftedText::Memory> memory_;
  std::unique_ptr<KvStore> kv_;
  StepCost cost_;
  GuessDrawer drawer_;  // of all tokens that it may say
};

}  // namespace tessera
