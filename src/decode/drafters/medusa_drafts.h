// What Medusa heads (model/medusa_heads.h) say comes next, as a source of guesses. Each head speaks
// of a place of its own, whatever stands before: the tree is every combination of what they hold
// likely, cut to the likeliest paths (the sparse trees of Cai et al. 2024, arXiv 2401.10774; how
// often a head's first, second... guess is right is learned here, not tabled).
//
// As a draft model, they draw with the noise, filters and penalties of the text's own sampler. What
// its constraint forbids, is pruned from the tree.
#pragma once

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "decode/drafter.h"
#include "decode/drafters/foreteller.h"
#include "decode/guess_source.h"
#include "decode/hit_rates.h"
#include "model/medusa_heads.h"

namespace tessera {

class MedusaText final : public GuessSource {
 public:
  // `chances`: of guesses, until something is learned of them.
  explicit MedusaText(std::shared_ptr<const std::vector<float>> chances)
      : chances_(std::move(chances)) {}
  std::span<const float> chances() const override { return *chances_; }
  Place here() const override { return {here_}; }
  Place after(Place place, Token) const override { return {place.at + 1}; }
  void guess(Place place, std::vector<Guess>& to) const override;
  void read(Token, bool) override { ++here_; }

 private:
  friend class MedusaDrafts;
  std::shared_ptr<const std::vector<float>> chances_;
  std::vector<float> hidden_;               // final hidden state of the token before last
  size_t hidden_size_ = 0;                  // of the text, when that was so; 0: not known
  std::vector<std::vector<Guess>> levels_;  // what each head said
  int here_ = 0;                            // tokens read since
};

class MedusaDrafts final : public Foreteller {
 public:
  explicit MedusaDrafts(MedusaHeads& heads);

  std::unique_ptr<GuessSource> start(const DraftStart&) override {
    return std::make_unique<MedusaText>(chances_);
  }
  void foretell(std::span<const ForetoldText> texts, std::span<const double> least) override;
  Told foretell_what_pays(std::span<const ForetoldText> texts,
                          std::span<const GuessTree* const> trees, const StepPlan& plan,
                          const DraftBudget& budget, const Timer& spent) override;
  void observe(GuessSource& source, const Observation& seen, StepRows& rows) override;

 private:
  using Texts = std::vector<const ForetoldText*>;
  static Texts ready(std::span<const ForetoldText> texts);
  void ask(std::span<const ForetoldText* const> texts);
  void draw(const ForetoldText& asked, HostRows logits, int row, int stride);
  double expected(const ForetoldText& text) const;
  // Of asking for so many texts, as far as known; 0: never asked yet.
  double seconds(size_t texts) const {
    return seconds_of_pass_ *
           static_cast<double>((texts + MedusaHeads::kRows - 1) / MedusaHeads::kRows);
  }

  MedusaHeads& heads_;
  std::shared_ptr<const std::vector<float>> chances_;
  double seconds_of_pass_ = 0;  // of late
  std::vector<float> hidden_, logits_;
};

}  // namespace tessera
