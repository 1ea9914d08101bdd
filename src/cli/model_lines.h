// What `tessera list` and `show` say of a model.
#pragma once

#include <string>

#include "files/model_summary.h"

namespace tessera::cli {

// "Q4_K_M": as the recipe is called that the file says it was made by, else its main format.
std::string quantization_of(const ModelSummary& summary);

}  // namespace tessera::cli
