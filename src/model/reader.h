// Reads a text that is known in full (teacher forcing): what evaluation, benchmarks, `tessera
// logits` and calibration are made of. One sequence, a KV store of its own, no scheduler.
//
// By exactness, the logits of a position do not depend on the steps that a text is read in.
#pragma once

#include <span>

#include "base/function_ref.h"
#include "base/host_tensor.h"
#include "model/flat_context.h"

namespace tessera {

// Its rows go through the model's default adapters.
class Reader {
 public:
  enum class Logits { kNone, kLast, kAll };  // of a step's rows: which are wanted

  // Room for a text of `tokens` tokens. Throws Error if the model's context holds fewer.
  Reader(Model& model, int tokens, KvFormat format);

  // Tokens that were read and are still there.
  int position() const { return position_; }
  // Forgets what lies behind the first `position` tokens; what follows is read anew.
  void rewind(int position = 0) { position_ = position; }

  // Tokens that one step can take.
  int most_rows(Logits wanted) const;
  // One forward pass over at most most_rows(wanted) tokens, which follow position(). The logits of
  // the wanted rows, [0, 1 or tokens.size(), vocabulary], valid until the model's next step.
  HostRows step(std::span<const Token> tokens, Logits wanted);

  // Any number of tokens, in steps of `rows` (0: as many as can be), each with its wanted logits:
  // kLast gives those of each step's last token. Calls on_logits(logits, position of the first of
  // their rows) after every step that has some.
  void read(std::span<const Token> tokens, Logits wanted,
            FunctionRef<void(HostRows logits, int first)> on_logits, int rows = 0);
  void read(std::span<const Token> tokens) {
    read(tokens, Logits::kNone, [](HostRows, int) {});
  }

 private:
  Model& model_;
  FlatContext context_;
  int position_ = 0;
};

}  // namespace tessera
