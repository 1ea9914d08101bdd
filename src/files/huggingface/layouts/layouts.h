// What quantization tools keep of a matrix in several tensors ("X.qweight", "X.scales", ...), put
// together to one that the rest of the program reads ("X.weight").
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "files/huggingface/layouts/raw_tensors.h"

namespace tessera::huggingface {

// Replaces all that the layout in `config` (config.json: quantization_config, by its quant_method)
// or in `hf_quant_config` (ModelOpt's hf_quant_config.json; nullptr if there is none) quantized by
// tensors "X.weight" with a format and a source; where codes and scales allow it, a grouped format
// (formats/grouped.h), else decoded values. Without either it does nothing.
// Error: an unknown layout (by its name, with a list of those that are known), tensors that are
// missing or whose shapes contradict each other, numbers out of their range.
void apply_layouts(const nlohmann::json& config, const nlohmann::json* hf_quant_config,
                   RawTensors& tensors);

}  // namespace tessera::huggingface
