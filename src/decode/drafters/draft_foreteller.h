// A draft model as one who foretells, and when it is worth its time.
#pragma once

#include <vector>

#include "decode/drafters/draft_model.h"
#include "decode/drafters/foreteller.h"

namespace tessera {

class DraftForeteller final : public Foreteller {
 public:
  explicit DraftForeteller(const DraftMeans& means) : draft_(means) {}

  std::unique_ptr<GuessSource> start(const DraftStart& sequence) override {
    return draft_.start(sequence);
  }
  void foretell(std::span<const ForetoldText> texts, std::span<const double> least) override;
  Told foretell_what_pays(std::span<const ForetoldText> texts,
                          std::span<const GuessTree* const> trees, const StepPlan& plan,
                          const DraftBudget& budget, const Timer& spent) override;
  void observe(GuessSource& source, const Observation& seen, StepRows& rows) override;
  void learn(double saved) override;

 private:
  // To read a text takes time before anything comes of it. So a text is read once its answer is so
  // long that, had it been read before, that would have paid by now: at worst, twice is spent what
  // was needed (ski rental, Karlin et al. 1988). What drafting has saved of late tells how soon;
  // and where half of an answer as long as they were of late would do, it is read at once.
  bool is_worth_reading(const DraftModel::Request& text, const StepPlan& plan) const;

  static constexpr double kFirstSaved = 1.0 / 3;
  DraftModel draft_;
  // Of late.
  double saved_ = kFirstSaved;
  double generated_ = 0;  // by an answer
};

}  // namespace tessera
