// All that decides what comes of a run, in words: two runs of the same description give the same
// bytes.
#pragma once

#include <optional>
#include <string>

#include "checkpoint/checkpoint.h"
#include "compress/calibration.h"
#include "compress/quantize.h"

namespace tessera {

// A line for each thing; files by their contents. Reads them all.
std::string describe_run(const Checkpoint& model, const QuantizeOptions& options,
                         const CalibrationText& text);

}  // namespace tessera
