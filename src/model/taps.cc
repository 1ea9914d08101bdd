#include "model/taps.h"

namespace tessera {

std::optional<TapPoint> input_of(TensorRole role) {
  switch (role) {
    case TensorRole::kQuery:
    case TensorRole::kKey:
    case TensorRole::kValue:
    case TensorRole::kQueryKeyValue:
    case TensorRole::kRecurrentInput:
    case TensorRole::kRecurrentGate:
    case TensorRole::kRecurrentStep:
    case TensorRole::kRecurrentRate:
    case TensorRole::kRecurrentRateAndStep:
    case TensorRole::kConvolutionInput:
      return TapPoint::kQkvInput;
    case TensorRole::kAttentionOutput:
    case TensorRole::kConvolutionOutput:
      return TapPoint::kOutputInput;
    case TensorRole::kRecurrentOutput:
      return TapPoint::kRecurrentOutputInput;
    case TensorRole::kGate:
    case TensorRole::kUp:
      return TapPoint::kGateUpInput;
    case TensorRole::kDown:
      return TapPoint::kDownInput;
    case TensorRole::kExpertsGate:
    case TensorRole::kExpertsUp:
    case TensorRole::kExpertsGateUp:
      return TapPoint::kExpertInput;
    case TensorRole::kExpertsDown:
      return TapPoint::kExpertDownInput;
    case TensorRole::kSharedExpertGate:
    case TensorRole::kSharedExpertUp:
      return TapPoint::kSharedInput;
    case TensorRole::kSharedExpertDown:
      return TapPoint::kSharedDownInput;
    default:
      return std::nullopt;
  }
}

bool is_of_experts(TapPoint point) {
  return point == TapPoint::kExpertInput || point == TapPoint::kExpertDownInput;
}

}  // namespace tessera
