// What the model's own layer for further tokens (model/next_tokens.h) foretells, as a source of
// guesses. It reads along: each step gives it the hidden states of what was committed. What a
// prefix cache had computed, nobody has hidden states of; it begins behind that, which costs it
// context but never a wrong text.
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "cache/block_table.h"
#include "decode/drafters/drawn_guess.h"
#include "decode/drafters/foreteller.h"
#include "decode/step_cost.h"
#include "model/next_tokens.h"

namespace tessera {

class NextTokenText final : public GuessSource {
 public:
  ~NextTokenText() override;
  std::span<const float> chances() const override { return DrawnGuess::kChances; }
  Place here() const override { return {here_}; }
  Place after(Place place, Token token) const override;
  void guess(Place place, std::vector<Guess>& to) const override;
  void read(Token token, bool of_answer) override;
  void end(std::span<const Token> answer) override;

 private:
  friend class NextTokenDrafts;
  struct Memory {
    explicit Memory(int blocks) : pool(blocks, kBlockTokens) {}
    BlockPool pool;
    std::list<NextTokenText*> texts;
  };
  explicit NextTokenText(std::shared_ptr<Memory> memory);
  void forget();
  void take(int position, std::span<const float> hidden);

  std::shared_ptr<Memory> memory_;
  std::list<NextTokenText*>::iterator place_;
  BlockTable blocks_;
  int first_ = 0;               // position in the text of the first token that was read along
  int computed_ = 0;            // tokens from there on whose keys and values are in the blocks
  std::vector<float> pending_;  // hidden states of the tokens behind those
  int pending_rows_ = 0;
  std::vector<DrawnGuess> levels_;  // what was foretold
  int here_ = -1;                   // how far the text has followed that; -1: it has not
  std::optional<Sampler> sampler_;
};

class NextTokenDrafts final : public Foreteller {
 public:
  explicit NextTokenDrafts(const DraftMeans& means);

  std::unique_ptr<GuessSource> start(const DraftStart&) override;
  void foretell(std::span<const ForetoldText> texts, std::span<const double> least) override;
  Told foretell_what_pays(std::span<const ForetoldText> texts,
                          std::span<const GuessTree* const> trees, const StepPlan& plan,
                          const DraftBudget& budget, const Timer& spent) override;
  void observe(GuessSource& source, const Observation& seen, StepRows& rows) override;

 private:
  // Whether a text is foretold further, by one token more.
  using GoesOn = FunctionRef<bool(size_t text, int depth, double chance)>;
  struct Active;
  void foretell(std::span<const ForetoldText> texts, GoesOn goes_on);
  void run(std::span<Active> active);
  bool catch_up(NextTokenText& text, std::span<const Token> tokens);
  bool reserve(NextTokenText& text, int tokens, std::span<const ForetoldText> asked);

  NextTokens& next_;
  std::shared_ptr<NextTokenText::Memory> memory_;
  std::unique_ptr<KvStore> kv_;
  GuessDrawer drawer_;
  StepCost cost_;
};

}  // namespace tessera
