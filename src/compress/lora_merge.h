// LoRA adapters merged into the matrices that they are for: W + scale * B A, in f32.
#pragma once

#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/stored_adapter.h"
#include "tessera/options.h"

namespace tessera {

class LoraMerge {
 public:
  // Opens the adapters, all for `model`, which must outlive it. Error if one does not fit.
  LoraMerge(const std::vector<LoraFile>& files, const Checkpoint& model);

  // Of the model's tensors.
  bool changes(const StoredTensor& tensor) const;
  // One that they change, with all that they add, in F32. Must not outlive this.
  StoredTensor merged(const StoredTensor& tensor) const;

 private:
  struct Adapter {
    StoredAdapter stored;
    float scale;
  };
  std::vector<Adapter> adapters_;
};

}  // namespace tessera
