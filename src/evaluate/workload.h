// What benchmarks run: steps over random tokens, in a context that can be filled and rewound.
#pragma once

#include <span>
#include <vector>

#include "model/reader.h"

namespace tessera {

class Workload {
 public:
  Workload(Model& model, int tokens, KvFormat format);

  std::span<const Token> tokens() const { return tokens_; }
  // Reads `count` tokens from position `first` in steps of `rows`. on_logits: see Reader::read().
  void read(
      int first, int count, int rows, Reader::Logits wanted = Reader::Logits::kLast,
      FunctionRef<void(HostRows logits, int first)> on_logits = [](HostRows, int) {});

 private:
  Reader reader_;
  std::vector<Token> tokens_;
};

}  // namespace tessera
