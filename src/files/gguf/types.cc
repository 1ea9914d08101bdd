#include "files/gguf/types.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/error.h"

namespace tessera::gguf {
namespace {

struct TypeRow {
  uint32_t type;
  std::string_view format;
};

// The ids that are missing (4, 5, 31-33, 37, 38) belonged to formats that left the specification.
// So did 36 (IQ4_NL_4_4), which never was in files; bitnet.cpp's fork of ggml calls its I2_S that.
// Its 39, TL2, is MXFP4 everywhere else, and its TL1 (38) is laid out for one machine's kernels.
constexpr auto kTypeRows = std::to_array<TypeRow>({
    {0, "F32"},     {1, "F16"},    {2, "Q4_0"},     {3, "Q4_1"},    {6, "Q5_0"},     {7, "Q5_1"},
    {8, "Q8_0"},    {9, "Q8_1"},   {10, "Q2_K"},    {11, "Q3_K"},   {12, "Q4_K"},    {13, "Q5_K"},
    {14, "Q6_K"},   {15, "Q8_K"},  {16, "IQ2_XXS"}, {17, "IQ2_XS"}, {18, "IQ3_XXS"}, {19, "IQ1_S"},
    {20, "IQ4_NL"}, {21, "IQ3_S"}, {22, "IQ2_S"},   {23, "IQ4_XS"}, {24, "I8"},      {25, "I16"},
    {26, "I32"},    {27, "I64"},   {28, "F64"},     {29, "IQ1_M"},  {30, "BF16"},    {34, "TQ1_0"},
    {35, "TQ2_0"},  {36, "I2_S"},  {39, "MXFP4"},   {40, "NVFP4"},  {41, "Q1_0"},    {42, "Q2_0"},
});

}  // namespace

const Format* format_of(uint32_t type) {
  const auto row = std::ranges::find(kTypeRows, type, &TypeRow::type);
  return row == kTypeRows.end() ? nullptr : find_format(row->format);
}

uint32_t type_of(const Format& format) {
  const auto row = std::ranges::find(kTypeRows, format.name, &TypeRow::format);
  if (row == kTypeRows.end()) fail("GGUF has no tensor type for number format {}", format.name);
  return row->type;
}

}  // namespace tessera::gguf
