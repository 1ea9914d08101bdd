// How many rows of a step each client may have.
//
// A step takes as long as reading the weights, and as computing its rows: about as long as
// w + rows of them, w of which stand for the weights. Were somebody's answers alone in a step, of o
// rows, it would take w + o; so as long as each other client has at most w + o rows, the gaps
// between tokens are at most as many times longer as there are clients. Every client is held to
// that for the one among the others whose answers need the fewest rows. Who is alone has the whole
// step.
#pragma once

#include <limits>
#include <map>
#include <string_view>

#include "engine/sequence.h"

namespace tessera {

class ClientShares {
 public:
  // Where nobody has measured. It depends on format, size and machine (docs/performance.md,
  // "verify 8": from one row to dozens); a compromise, as it only bounds how unequal shares may be.
  static constexpr int kWeightRows = 6;

  // `weight_rows` take as long as reading the weights.
  explicit ClientShares(int weight_rows = kWeightRows) : weight_rows_(weight_rows) {}

  // Who takes part in the step: a sequence whose answer goes on, or whose prompt gets rows.
  void add(const Sequence& sequence);
  // All have been added.
  void divide();

  // Rows that are left for answers of `sequence`'s client, if it has prompts too at most half of
  // its rows; and for its prompts.
  int left_for_answers(const Sequence& sequence) const { return of(sequence).answers; }
  int left_for_prompts(const Sequence& sequence) const { return of(sequence).all; }
  void take_for_answers(const Sequence& sequence, int rows);
  void take_for_prompts(const Sequence& sequence, int rows);

  int with_prompts() const;  // clients

 private:
  struct Client {
    int decoding = 0, prompts = 0;                             // sequences
    int all = std::numeric_limits<int>::max(), answers = all;  // rows left
  };
  const Client& of(const Sequence& sequence) const { return clients_.at(sequence.request.client); }

  int weight_rows_;
  std::map<std::string_view, Client> clients_;
};

}  // namespace tessera
