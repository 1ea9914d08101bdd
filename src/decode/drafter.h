// Decoders that commit several tokens a step. A drafter proposes trees of what may come next; the
// model runs them as rows of its batch, and verify() accepts what the sampler would have chosen
// anyway. So a drafter never changes a text, only how many steps it takes.
//
// A drafter belongs to an engine and serves all of its sequences: it may own a draft model, heads
// or a KV store, and is asked for all sequences of a step at once. What it knows of one sequence is
// a DraftState, which travels with the sequence.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/host_tensor.h"
#include "base/token.h"
#include "decode/block_maxima.h"
#include "decode/sampler.h"
#include "decode/step_cost.h"
#include "decode/token_tree.h"
#include "model/medusa_heads.h"
#include "model/model.h"

namespace tessera {

class NextTokens;        // model/next_tokens.h
class VocabularyBridge;  // text/vocabulary_bridge.h

// What a drafter keeps of one sequence. Nothing in it may depend on the sequence's keys and values:
// a preempted sequence keeps its state, and a forked one begins with a new one. It may outlive its
// drafter, as a sequence may outlive its engine.
class DraftState {
 public:
  virtual ~DraftState() = default;
};

// What a drafter was told by its settings' names (decode/decoder.h), all of them.
using DrafterValues = std::map<std::string, double, std::less<>>;

// What an engine has for its drafters, which live no longer than that.
struct DraftMeans {
  Model& model;                              // whose answers they draft
  Model* draft = nullptr;                    // a smaller one, if there is one
  int kv_blocks = 0;                         // of the engine's KV store
  const VocabularyBridge* bridge = nullptr;  // to the draft's vocabulary, if it is another one
  MedusaHeads* heads = nullptr;              // of the model, if there are any
  NextTokens* next_tokens = nullptr;         // its layer for further tokens, if it was loaded
};

// A sequence that begins.
struct DraftStart {
  const DrafterValues& values;
  const std::string& cache_salt;      // what one salt has seen, no other may notice
  std::span<const Token> prediction;  // what the answer is expected to resemble; may be empty
};

// One sequence that may draft in this step.
struct DraftRequest {
  std::span<const Token> tokens;  // prompt and answer so far
  size_t prompt_size = 0;
  const Sampler* sampler = nullptr;  // which will choose; null: not known
  DraftState* state = nullptr;       // what start() gave
  int room = 0;                      // nodes at most; at least 1
  TokenTree tree = {};               // the proposal; may stay empty. Surplus nodes are dropped.
};

// What a step made of one sequence: a chunk of its prompt was computed, or a tree verified.
struct Observation {
  std::span<const Token> tokens;  // prompt and answer, what this step committed included
  size_t prompt_size = 0;
  bool finished = false;  // this was the sequence's last step
  DraftState* state = nullptr;
  const TokenTree* tree = nullptr;  // what was verified, its node 0 the last token before; or null
  std::span<const int32_t> path = {};  // of the tree: the nodes whose tokens were committed after
  size_t committed = 0;                // tokens
  int first_row = 0, rows = 0;  // of the batch: a row for each node, or for each prompt token
  int first_position = 0;       // of the first row, in the text
  int first_logits = -1;        // of the step's logits: those of first_row; -1: of no row
};

// What a step computed, and how long that took. Rows that are not asked for cost nothing.
class StepRows {
 public:
  StepRows(Model& model, Tensor logits, const StepPlan& plan, double seconds)
      : model_(model), logits_(logits), plan_(plan), seconds_(seconds) {}

  // Each is valid until the next call of any of them.
  HostRows logits() { return model_.backend().download(logits_); }  // [wanted rows, vocabulary]
  // The token of the largest logit of a row of them, the lowest of equals.
  Token likeliest(int row) {
    const auto values = logits().row(row);
    find_block_maxima(values, maxima_);
    return argmax(values, maxima_);
  }
  // Final hidden states, normalized, of rows of the batch: [count, embedding].
  HostRows hidden_states(int first_row, int count) {
    return model_.backend().download(model_.hidden_states(first_row, count));
  }

  const StepPlan& plan() const { return plan_; }  // what it would have been without drafts
  double seconds() const { return seconds_; }     // what to draft took not included

 private:
  Model& model_;
  Tensor logits_;
  StepPlan plan_;
  double seconds_;
  std::vector<float> maxima_;  // reused between calls
};

class Drafter {
 public:
  virtual ~Drafter() = default;

  // For a new sequence; nullptr if nothing is kept.
  virtual std::unique_ptr<DraftState> start(const DraftStart&) { return nullptr; }
  // Fills in the trees of requests, each from its own tokens and state, with tokens of the
  // vocabulary. `plan`: the step that they hang in.
  virtual void propose(std::span<DraftRequest> requests, const StepPlan& plan) = 0;
  // What became of the step, of every sequence of this drafter that had rows in it.
  virtual void observe(std::span<const Observation>, StepRows&) {}
};

}  // namespace tessera
