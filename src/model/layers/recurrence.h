// What gated delta networks and state spaces have in common.
#pragma once

#include <cmath>

#include "model/config.h"
#include "model/layers/part.h"

namespace tessera {

// ln(1 + e^x), without overflow.
inline double softplus(double x) {
  return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x));
}

// Activations of a step's rows.
struct RecurrenceRows {
  Tensor h;          // [rows, embedding]: the normalized stream, and at last what is added to it
  Tensor input;      // [rows, input columns]: all that one matrix makes of it
  Tensor convolved;  // [rows, channels]
  Tensor gates;      // [rows, 2 heads]: decays, then rates or steps
  Tensor out;        // [rows, values]

  static void reserve(Workspace& workspace, const Config& config, const RecurrentConfig& shape,
                      int input_columns) {
    workspace.reserve(Workspace::kHidden, config.embedding);
    workspace.reserve(Workspace::kQkv, input_columns);
    workspace.reserve(Workspace::kConvolved, shape.channels);
    workspace.reserve(Workspace::kScores, 2 * shape.heads);
    workspace.reserve(Workspace::kAttended, shape.values());
  }
  static RecurrenceRows take(const Step& step, const Config& config, const RecurrentConfig& shape,
                             int input_columns) {
    return {.h = step.take(Workspace::kHidden, config.embedding),
            .input = step.take(Workspace::kQkv, input_columns),
            .convolved = step.take(Workspace::kConvolved, shape.channels),
            .gates = step.take(Workspace::kScores, 2 * shape.heads),
            .out = step.take(Workspace::kAttended, shape.values())};
  }
};

}  // namespace tessera
