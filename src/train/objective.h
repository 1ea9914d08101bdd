// What a training steps: examples in, a loss out, and the gradients of what is learned. A model's
// own next tokens or what a teacher says (Network), drafts for a frozen one (MedusaObjective,
// EagleObjective).
#pragma once

#include <span>

#include "train/example.h"

namespace tessera::train {

class Objective {
 public:
  virtual ~Objective() = default;

  // The sum of the losses of all targets that count.
  virtual double loss(std::span<const Example> examples) = 0;
  // The same; adds factor * d loss / d value to the gradients.
  virtual double differentiate(std::span<const Example> examples, float factor) = 0;
};

}  // namespace tessera::train
