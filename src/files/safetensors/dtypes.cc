#include "files/safetensors/dtypes.h"

#include <algorithm>
#include <array>

namespace tessera::safetensors {
namespace {

// Source: the enum Dtype of https://github.com/huggingface/safetensors (safetensors/src/tensor.rs).
constexpr auto kKnown =
    std::to_array<std::string_view>({"F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8"});

constexpr Format storage(std::string_view name, uint32_t elements, uint32_t bytes) {
  return {.name = name, .block_elements = elements, .block_bytes = bytes};
}
constexpr Format kStorage[] = {
    storage("U64", 1, 8),         storage("U32", 1, 4),         storage("U16", 1, 2),
    storage("U8", 1, 1),          storage("BOOL", 1, 1),        storage("F8_E4M3", 1, 1),
    storage("F8_E5M2", 1, 1),     storage("F8_E8M0", 1, 1),     storage("F4", 2, 1),
    storage("F8_E4M3FNUZ", 1, 1), storage("F8_E5M2FNUZ", 1, 1), storage("F6_E2M3", 4, 3),
    storage("F6_E3M2", 4, 3),     storage("C64", 1, 8),
};

}  // namespace

const Format* format_of_dtype(std::string_view dtype) {
  if (std::ranges::find(kKnown, dtype) != kKnown.end()) return find_format(dtype);
  const auto found = std::ranges::find(kStorage, dtype, &Format::name);
  return found == std::end(kStorage) ? nullptr : found;
}

}  // namespace tessera::safetensors
