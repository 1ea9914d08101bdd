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
#include <vector>

#include "decode/drafter.h"
#include "decode/guess_source.h"
#include "decode/hit_rates.h"
#include "model/medusa_heads.h"

namespace tessera {

class MedusaText final : public GuessSource {
 public:
  std::span<const float> chances() const override;
  Place here() const override { return {here_}; }
  Place after(Place place, Token) const override { return {place.at + 1}; }
  void guess(Place place, std::vector<Guess>& to) const override;
  void read(Token, bool) override { ++here_; }
  MedusaText* medusa_text() override { return this; }

 private:
  friend class MedusaDrafts;
  std::vector<float> hidden_;               // final hidden state of the token before last
  size_t hidden_size_ = 0;                  // of the text, when that was so; 0: not known
  std::vector<std::vector<Guess>> levels_;  // what each head said
  int here_ = 0;                            // tokens read since
};

class MedusaDrafts {
 public:
  struct Request {
    MedusaText* text;
    std::span<const Token> tokens;  // prompt and answer so far
    size_t prompt_size;
    const Sampler* sampler;
    const HitRates* rates;  // of the text's buckets
  };

  explicit MedusaDrafts(MedusaHeads& heads) : heads_(heads) {}

  std::unique_ptr<MedusaText> start() const { return std::make_unique<MedusaText>(); }
  // A token was chosen by this final hidden state; the text is `size` tokens long now.
  void remember(MedusaText& text, std::span<const float> hidden, size_t size) const;
  // Whether it is known what to tell the heads of the text.
  static bool is_ready(const Request& request) {
    return request.text->hidden_size_ == request.tokens.size();
  }
  // Of texts that are ready.
  void foretell(std::span<const Request> requests);

  // Tokens that the heads are expected to add to the text, each head right only if those before
  // are.
  double expected(const Request& request) const;
  // Seconds of asking for so many texts, as far as known; 0: never asked yet.
  double seconds(int texts) const { return seconds_of_pass_ * passes(texts); }

 private:
  static int passes(int texts) { return (texts + MedusaHeads::kRows - 1) / MedusaHeads::kRows; }
  void draw(const Request& request, HostRows logits, int row, int stride);

  MedusaHeads& heads_;
  double seconds_of_pass_ = 0;  // of late
  std::vector<float> hidden_, logits_;
};

}  // namespace tessera
