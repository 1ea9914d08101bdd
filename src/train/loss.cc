#include "train/loss.h"

#include "train/operations/cross_entropy.h"

namespace tessera::train {

double CrossEntropyLoss::of(const LossRows& rows) {
  return cross_entropy(pool_, rows.logits, rows.targets);
}

double CrossEntropyLoss::differentiate(const LossRows& rows, float factor, HostTensor /*dhidden*/,
                                       HostTensor dlogits) {
  return cross_entropy_back(pool_, rows.logits, rows.targets, factor, dlogits);
}

}  // namespace tessera::train
