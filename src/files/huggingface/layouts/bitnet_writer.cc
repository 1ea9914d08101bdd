// BitNet b1.58, packed, of the class BitLinear: see bitnet.cc.
#include "base/half.h"
#include "files/huggingface/layouts/layout_writer.h"
#include "files/huggingface/layouts/pack_codes.h"

namespace tessera::huggingface {
namespace {

class BitNetWriter final : public LayoutWriter {
 public:
  std::vector<LayoutPart> parts(uint64_t rows, uint64_t columns) const override {
    expect_multiple("rows", rows, 4);
    return {{".weight", "U8", {rows / 4, columns}}, {".weight_scale", "F32", {1}}};
  }

  std::vector<std::vector<std::byte>> pack(const EncodedMatrix& matrix,
                                           std::string_view) const override {
    // It divides, and is a bfloat16 (shared_scales.cc). Of a matrix of zeros, any will do.
    const float scale = matrix.scales[0] == 0 ? 1 : bf16_to_f32(f32_to_bf16(1 / matrix.scales[0]));
    return {pack_quarters(matrix.codes), f32_bytes({&scale, 1})};
  }

  nlohmann::ordered_json config(std::string_view) const override {
    return {{"quant_method", "bitnet"},
            {"linear_class", "bitlinear"},
            {"quantization_mode", "offline"},
            {"modules_to_not_convert", {"lm_head"}}};
  }
};

}  // namespace

LayoutWriterPtr bitnet_writer() {
  return std::make_shared<BitNetWriter>();
}

}  // namespace tessera::huggingface
