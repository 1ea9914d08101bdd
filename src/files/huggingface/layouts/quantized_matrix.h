// A matrix out of codes, scales and zero points, whatever they lie in: what every layout describes,
// and the one place where that becomes a tensor.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "checkpoint/stored_tensor.h"
#include "files/huggingface/layouts/codes.h"
#include "files/huggingface/layouts/grid.h"
#include "formats/grouped.h"

namespace tessera::huggingface {

// x = scale * (code - zero), scale * code + min, or scale * level of the code.
struct QuantizedMatrix {
  std::string name;
  std::vector<uint64_t> shape;  // as StoredTensor's: columns first
  CodesPtr codes;
  GroupedCodes kind = GroupedCodes::kInteger;
  int bits = 4;               // of integers
  std::vector<float> levels;  // a table of its own, of which no grouped format knows; or none

  GridPtr scales;
  int zero_point = 0;   // of integers, where there are neither zeros nor mins
  GridPtr zeros, mins;  // at most one of them
  uint64_t group = 0;   // neighbouring columns, from the first on, that share these; 0: a whole row
  std::shared_ptr<const std::vector<uint32_t>> order;  // as StoredTensor's

  // What values are decoded to where no grouped format fits: the type in which the layout's own
  // package has them, which rounds as it does.
  const Format* values = &kF32;
  std::vector<Bytes> stored;  // in the files, all that this is made of
};

// A code for each byte of a tensor, xor-ed with `flip`.
CodesPtr codes_of(const StoredTensor& tensor, uint8_t flip);

// Rows of a grouped format if one fits, else of decoded values.
StoredTensor put_together(QuantizedMatrix matrix);

}  // namespace tessera::huggingface
