// Formats of tensors by name, which go before what a recipe says: llama-quantize's --tensor-type.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "compress/recipes.h"

namespace tessera {

struct TensorFormat {
  // A regular expression that is found anywhere in the name a tensor has in a GGUF file.
  std::string pattern;
  const Format* format = nullptr;
};

// "PATTERN=FORMAT ...", divided by blanks or lines, as llama-quantize's --tensor-type-file has it;
// from a '#' at the beginning of a word to the end of its line is remark. `what` is named in
// errors: no '=', an unknown format or one that cannot be encoded, a malformed pattern, or none.
std::vector<TensorFormat> parse_tensor_formats(std::string_view text, std::string_view what);

// Gives the matrices of `plan` their formats by the first pattern that is found in their names, or
// one that fits their columns, as a recipe would. Returns which of them were named. Error for a
// pattern that is found in no matrix's name.
std::vector<bool> apply_tensor_formats(std::span<const TensorFormat> formats,
                                       const Checkpoint& model, std::span<PlannedFormat> plan);

// The formats of the plan's matrices, a line each: what parse_tensor_formats reads back, and
// llama-quantize.
std::string write_tensor_formats(const Checkpoint& model, std::span<const PlannedFormat> plan);

}  // namespace tessera
