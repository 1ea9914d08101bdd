// How a training went, as a picture.
#pragma once

#include <string>
#include <string_view>

#include "train/training.h"

namespace tessera::train {

// SVG: the loss of each step, and the held-out loss beside it, over steps.
std::string draw_losses(const LossCurve& curve, std::string_view title);

}  // namespace tessera::train
