// GPTQ: see gptq.cc. Version 1, which every loader reads.
#include <cstring>
#include <numeric>

#include "files/huggingface/layouts/codes.h"
#include "files/huggingface/layouts/layout_writer.h"
#include "files/huggingface/layouts/pack_codes.h"

namespace tessera::huggingface {
namespace {

class GptqWriter final : public LayoutWriter {
 public:
  explicit GptqWriter(const GroupScheme& scheme) : scheme_(scheme) {}

  std::vector<LayoutPart> parts(uint64_t rows, uint64_t columns) const override {
    // Words hold whole codes, but for 3 bits: 32 in 3 words.
    const uint64_t unit = scheme_.bits == 3 ? 32 : 32 / static_cast<uint64_t>(scheme_.bits);
    expect_multiple("rows", rows, unit);
    const uint64_t groups = columns / group_of(columns);
    return {{".qweight", "I32", {words_of(columns, scheme_.bits, true), rows}},
            {".qzeros", "I32", {groups, words_of(rows, scheme_.bits, true)}},
            {".scales", "F16", {groups, rows}},
            {".g_idx", "I32", {columns}}};
  }

  std::vector<std::vector<std::byte>> pack(const EncodedMatrix& matrix,
                                           std::string_view) const override {
    const int mask = (1 << scheme_.bits) - 1, middle = 1 << (scheme_.bits - 1);
    const uint64_t in_row = matrix.columns / group_of(matrix.columns);
    const std::vector<float> scales = scheme_.group == 0 ? matrix.row_scales() : matrix.scales;
    std::vector<uint8_t> zeros(scales.size(), static_cast<uint8_t>(middle));
    if (!matrix.zeros.empty()) zeros = matrix.zeros;
    for (uint8_t& zero : zeros) zero = static_cast<uint8_t>((zero - 1) & mask);
    std::vector<uint32_t> groups(matrix.columns);
    for (size_t c = 0; c < groups.size(); ++c)
      groups[c] = static_cast<uint32_t>(c / group_of(matrix.columns));
    const auto index = std::as_bytes(std::span(groups));
    return {pack_column_words(matrix.codes, matrix.columns, scheme_.bits),
            pack_row_words(transposed(zeros, in_row), matrix.rows, scheme_.bits),
            f16_bytes(transposed(scales, in_row)),
            {index.begin(), index.end()}};
  }

  nlohmann::ordered_json config(std::string_view) const override {
    const int64_t group = scheme_.group == 0 ? -1 : static_cast<int64_t>(scheme_.group);
    return {{"quant_method", "gptq"},      {"bits", scheme_.bits}, {"group_size", group},
            {"sym", scheme_.symmetric},    {"desc_act", false},    {"lm_head", false},
            {"checkpoint_format", "gptq"}, {"pack_dtype", "int32"}};
  }

 private:
  uint64_t group_of(uint64_t columns) const { return scheme_.group == 0 ? columns : scheme_.group; }

  GroupScheme scheme_;
};

}  // namespace

LayoutWriterPtr gptq_writer(const GroupScheme& scheme) {
  return std::make_shared<GptqWriter>(scheme);
}

}  // namespace tessera::huggingface
