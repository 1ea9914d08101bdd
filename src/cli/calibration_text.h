// A text to calibrate with that the model writes itself, where there is none.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "tessera/options.h"

namespace tessera::cli {

// So many texts of `length` tokens, each begun from nothing and drawn with temperature 1, so that
// they hold what the model holds for likely, as often as it does (data-free quantization: LLM-QAT,
// Liu et al. 2023). The same for any number of threads.
std::string write_calibration_text(const std::string& reference, const LoadOptions& load, int texts,
                                   int length,
                                   const std::function<void(size_t done, size_t total)>& progress);

}  // namespace tessera::cli
