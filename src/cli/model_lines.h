// What `tessera list`, `show` and `rm` say of a model.
#pragma once

#include <string>

#include "files/model_summary.h"

namespace tessera::cli {

// "Q4_K_M": as the recipe is called that the file says it was made by, else its main format.
std::string quantization_of(const ModelSummary& summary);

// "134.5 M", "1.54 B".
std::string describe_count(uint64_t count);

}  // namespace tessera::cli
