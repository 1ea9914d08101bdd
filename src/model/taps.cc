#include "model/taps.h"

namespace tessera {

std::optional<TapPoint> input_of(TensorRole role) {
  switch (role) {
    case TensorRole::kQuery:
    case TensorRole::kKey:
    case TensorRole::kValue:
    case TensorRole::kQueryKeyValue:
      return TapPoint::kQkvInput;
    case TensorRole::kAttentionOutput:
      return TapPoint::kOutputInput;
    case TensorRole::kGate:
    case TensorRole::kUp:
      return TapPoint::kGateUpInput;
    case TensorRole::kDown:
      return TapPoint::kDownInput;
    default:
      return std::nullopt;
  }
}

}  // namespace tessera
