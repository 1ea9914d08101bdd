// What benchmarks run: steps over random tokens, in a context that can be filled and rewound.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "model/flat_context.h"

namespace tessera {

class Workload {
 public:
  Workload(Model& model, int tokens, KvFormat format);

  std::span<const Token> tokens() const { return tokens_; }

  // Reads `count` tokens from position `first` in steps of `rows`, with the logits of each step's
  // last row, or of all its rows. `on_logits(logits, end)` is told of them after each step, whose
  // last token was at position end - 1.
  void read(int first, int count, int rows, bool all_logits = false,
            const std::function<void(Tensor logits, int end)>& on_logits = {});

 private:
  Model& model_;
  FlatContext context_;
  std::vector<Token> tokens_;
};

}  // namespace tessera
