// What a layer is made of: parts that each add to the residual stream, x += f(norm(x)).
#pragma once

#include <array>
#include <memory>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "model/lora.h"
#include "model/taps.h"
#include "model/tensors.h"

namespace tessera {

// Activations that the parts of all layers use in turn. Each part reserves what it needs when it is
// made; the widest need decides. Rows that are never touched cost no memory.
class Workspace {
 public:
  // kScores to kAnswers are a mixture's: what the router says of experts, the rows that visit one,
  // and what all of them answer; kLatent is latent attention's, or what experts read of a latent;
  // kConvolved recurrent layers', kParallel what a feed-forward or a recurrence beside attention
  // reads, or one beside experts answers; kPerLayer holds what every layer reads beside the stream,
  // kPerLayerTokens what of it a table says of the tokens.
  enum Slot {
    kHidden,
    kQkv,
    kAttended,
    kGated,
    kScores,
    kVisitors,
    kAnswers,
    kLatent,
    kConvolved,
    kParallel,
    kPerLayer,
    kPerLayerTokens,
    kTapped,
    kSlots
  };

  void reserve(Slot slot, int columns);
  int widest() const;                         // of what was reserved, in columns
  void allocate(Backend& backend, int rows);  // once everybody has reserved
  Tensor take(Slot slot, int rows, int columns) const;
  // For `each` rows of as many columns for every row of a step, which reserved each * columns.
  Tensor take_several(Slot slot, int rows, int each, int columns) const;

 private:
  std::array<int, kSlots> columns_{};
  std::array<Tensor, kSlots> tensors_{};
};

using RopeTables = std::vector<std::unique_ptr<RopeTable>>;

// One forward pass, as the parts see it.
class Step {
 public:
  Step(Backend& backend, const Workspace& workspace, const RopeTables& ropes, PreparedRows& rows,
       KvStore& kv, const StepAdapters& adapters, std::span<const Tap> taps)
      : backend(backend),
        rows(rows),
        kv(kv),
        workspace_(workspace),
        ropes_(ropes),
        adapters_(adapters),
        taps_(taps) {}

  // Activations of this step's rows.
  Tensor take(Workspace::Slot slot, int columns) const {
    return workspace_.take(slot, static_cast<int>(rows.host.positions.size()), columns);
  }
  Tensor take_several(Workspace::Slot slot, int each, int columns) const {
    return workspace_.take_several(slot, static_cast<int>(rows.host.positions.size()), each,
                                   columns);
  }
  // Of Config::ropes, loaded.
  const RopeTable& rope(int index) const { return *ropes_[static_cast<size_t>(index)]; }
  // The backend's products, with what the rows' adapters add.
  void linear(const Matrix& weights, Tensor x, const Vector* bias, Tensor out) const {
    backend.linear(weights, x, bias, out, adapters_.added_to(weights));
  }
  void linear_gated(const Matrix& weights, Tensor x, const Vector* bias, Activation activation,
                    Tensor out) const {
    backend.linear_gated(weights, x, bias, activation, out, adapters_.added_to(weights));
  }
  // Shows x to those who tap this place.
  void show(int layer, TapPlace place, Tensor x) const {
    if (!taps_.empty()) show_to_taps(layer, place, x);
  }
  // For what is computed only if somebody taps it.
  std::span<const Tap> taps() const { return taps_; }

  Backend& backend;
  PreparedRows& rows;
  KvStore& kv;

 private:
  void show_to_taps(int layer, TapPlace place, Tensor x) const;

  const Workspace& workspace_;
  const RopeTables& ropes_;
  const StepAdapters& adapters_;
  std::span<const Tap> taps_;
};

class Part {
 public:
  virtual ~Part() = default;

  // Tells of each of its tensors, always in the same order.
  virtual void for_each_tensor(TensorVisitor& visit) = 0;
  // Takes its input, norm(x), before the part before it adds to x: in layers where the two are
  // parallel.
  virtual void read(const Step& /*step*/, Tensor /*x*/) const {}
  // x += f(norm(x)), for all rows of the step. x is [rows, embedding].
  virtual void forward(const Step& step, Tensor x) const = 0;
};

}  // namespace tessera
