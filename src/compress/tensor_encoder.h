// Tensors that no text shows the inputs of: copied, or encoded row by row.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "compress/lora_merge.h"
#include "compress/methods/method.h"
#include "compress/quantize.h"
#include "compress/recipes.h"
#include "files/imatrix.h"

namespace tessera {

class TensorEncoder {
 public:
  // All must outlive it. Where the sparsity is one of all matrices, it compares them at once.
  TensorEncoder(const Checkpoint& model, std::span<const PlannedFormat> plan, const Method& method,
                const MethodOptions& options, const LoraMerge& merge, const Imatrix& imatrix,
                bool has_text, ThreadPool& pool);

  // The bytes in the planned format of the tensor with this number. Says in `summary` what became
  // of it.
  std::vector<std::byte> encode(size_t number, QuantizedTensor& summary);

 private:
  bool is_pruned(size_t number) const;
  // With what adapters add.
  StoredTensor source_of(size_t number) const;

  const Checkpoint& model_;
  std::span<const PlannedFormat> plan_;
  const Method& method_;
  MethodOptions options_;
  const LoraMerge& merge_;
  const Imatrix& imatrix_;
  bool has_text_;
  ThreadPool& pool_;
};

}  // namespace tessera
