// What rows of a model's answers lose, and its way back: the text's next tokens here; a teacher's
// distribution is another of these (train/distillation.h).
#pragma once

#include <span>

#include "base/host_tensor.h"
#include "base/thread_pool.h"
#include "base/token.h"
#include "train/example.h"

namespace tessera::train {

// Some rows that have a target, whose logits are computed together.
struct LossRows {
  int first = 0;                   // its number among all of the examples that have one
  HostRows hidden;                 // [rows, embedding], what the output matrix multiplies
  HostRows logits;                 // [rows, vocabulary]
  std::span<const Token> targets;  // [rows]
};

class Loss {
 public:
  virtual ~Loss() = default;

  // Comes before the rows of these examples, which come in their order.
  virtual void begin(std::span<const Example> /*examples*/) {}
  // The sum of what the rows lose.
  virtual double of(const LossRows& rows) = 0;
  // The same; dhidden and dlogits, zeros before, become factor * d loss / d value, of which dhidden
  // is without what comes through the logits.
  virtual double differentiate(const LossRows& rows, float factor, HostTensor dhidden,
                               HostTensor dlogits) = 0;
};

// -log p(target).
class CrossEntropyLoss final : public Loss {
 public:
  explicit CrossEntropyLoss(ThreadPool& pool) : pool_(pool) {}

  double of(const LossRows& rows) override;
  double differentiate(const LossRows& rows, float factor, HostTensor dhidden,
                       HostTensor dlogits) override;

 private:
  ThreadPool& pool_;
};

}  // namespace tessera::train
