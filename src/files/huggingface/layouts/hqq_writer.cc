// HQQ along axis 1, in f16: see hqq.cc. Zeros are floats; f16 holds them as they were encoded, so
// what is read is what was chosen (formats/grouped_encode.cc).
#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "files/huggingface/layouts/layout_writer.h"

namespace tessera::huggingface {
namespace {

std::vector<std::byte> text_bytes(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

template <typename T>
std::vector<std::byte> integer_bytes(std::span<const T> numbers) {
  const auto bytes = std::as_bytes(numbers);
  return {bytes.begin(), bytes.end()};
}

std::vector<std::byte> flag(bool is_set) {
  return {std::byte{is_set}};
}

class HqqWriter final : public LayoutWriter {
 public:
  HqqWriter(int bits, uint64_t group)
      : bits_(bits),
        group_(group),
        fields_(bits == 3 ? 10 : 8 / static_cast<uint64_t>(bits)),
        packing_(bits == 3 ? "3bit_32" : std::to_string(bits) + "bit_u8") {}

  std::vector<LayoutPart> parts(uint64_t rows, uint64_t columns) const override {
    const uint64_t groups = rows * columns / group_;
    if (bits_ != 3) expect_multiple("groups", groups, fields_);
    const uint64_t packed = (groups + fields_ - 1) / fields_;
    return {{".W_q", bits_ == 3 ? "I32" : "U8", {packed, group_}},
            {".scale", "F16", {groups, 1}},
            {".zero", "F16", {groups, 1}},
            {".nbits", "I32", {}},
            {".group_size", "I32", {}},
            {".shape", "I64", {2}},
            {".axis", "I32", {}},
            {".packing", "U8", {packing_.size()}},
            {".compute_dtype", "U8", {kDtype.size()}},
            {".unpack_view_dtype", "U8", {kView.size()}},
            {".channel_wise", "U8", {}},
            {".optimize", "U8", {}},
            {".round_zero", "U8", {}},
            {".view_as_float", "U8", {}},
            {".quant_scale", "U8", {}},
            {".quant_zero", "U8", {}},
            {".offload_meta", "U8", {}},
            {".stores_quant_config", "U8", {}},
            {".encoded_state_dict", "U8", {}}};
  }

  std::vector<std::vector<std::byte>> pack(const EncodedMatrix& matrix,
                                           std::string_view) const override {
    std::vector<float> zeros;
    for (size_t g = 0; g < matrix.scales.size(); ++g)
      zeros.push_back(matrix.scales[g] == 0 ? 0.0f : -matrix.mins[g] / matrix.scales[g]);
    const auto integer = [](uint64_t number) {
      return integer_bytes<int32_t>(std::array{static_cast<int32_t>(number)});
    };
    return {packed(matrix.codes),
            f16_bytes(matrix.scales),
            f16_bytes(zeros),
            integer(static_cast<uint64_t>(bits_)),
            integer(group_),
            integer_bytes<uint64_t>(std::array{matrix.rows, matrix.columns}),
            integer(1),
            text_bytes(packing_),
            text_bytes(kDtype),
            text_bytes(kView),
            flag(true),   // channel_wise
            flag(true),   // optimize
            flag(false),  // round_zero
            flag(false),  // view_as_float
            flag(false),  // quant_scale
            flag(false),  // quant_zero
            flag(false),  // offload_meta
            flag(true),   // stores_quant_config
            flag(true)};  // encoded_state_dict
  }

  nlohmann::ordered_json config(std::string_view) const override {
    const nlohmann::ordered_json weights = {{"nbits", bits_},        {"channel_wise", true},
                                            {"group_size", group_},  {"optimize", true},
                                            {"round_zero", false},   {"axis", 1},
                                            {"view_as_float", false}};
    return {{"quant_method", "hqq"},
            {"quant_config",
             {{"weight_quant_params", weights},
              {"scale_quant_params", nullptr},
              {"zero_quant_params", nullptr},
              {"offload_meta", false}}},
            {"skip_modules", {"lm_head"}}};
  }

 private:
  static constexpr std::string_view kDtype = "torch.float16", kView = "torch.uint8";

  // As many parts as a word has fields, the first in its highest bits.
  std::vector<std::byte> packed(std::span<const uint8_t> codes) const {
    const uint64_t rows = codes.size() / group_, plane = (rows + fields_ - 1) / fields_ * group_;
    const size_t word_bytes = bits_ == 3 ? 4 : 1;
    std::vector<std::byte> bytes(plane * word_bytes);
    for (uint64_t i = 0; i < plane; ++i) {
      uint32_t word = 0;
      for (uint64_t f = 0; f < fields_; ++f) {
        const uint64_t at = f * plane + i;
        const uint32_t code = at < codes.size() ? codes[at] : 0;
        word |= code << (static_cast<uint64_t>(bits_) * (fields_ - 1 - f));
      }
      std::memcpy(bytes.data() + i * word_bytes, &word, word_bytes);
    }
    return bytes;
  }

  int bits_;
  uint64_t group_, fields_;
  std::string packing_;
};

}  // namespace

LayoutWriterPtr hqq_writer(int bits, uint64_t group) {
  return std::make_shared<HqqWriter>(bits, group);
}

}  // namespace tessera::huggingface
