// What folders call their tensors where they do not follow Llama's.
#pragma once

#include <span>
#include <string_view>

#include "checkpoint/tensor_names.h"
#include "files/huggingface/families.h"

namespace tessera::huggingface {

struct StyleNames {
  std::span<const TensorNames::Row> rows;   // all; none of TensorStyle::kLlama
  std::string_view prefix;                  // of all but the output's
  std::span<const TensorNames::Row> older;  // other names for some of them, which are read only
};
StyleNames style_of(TensorStyle style);

}  // namespace tessera::huggingface
