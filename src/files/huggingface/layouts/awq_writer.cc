// AWQ as AutoAWQ's GEMM has it: see awq.cc.
#include "files/huggingface/layouts/layout_writer.h"
#include "files/huggingface/layouts/pack_codes.h"

namespace tessera::huggingface {
namespace {

class AwqWriter final : public LayoutWriter {
 public:
  explicit AwqWriter(uint64_t group) : group_(group) {}

  std::vector<LayoutPart> parts(uint64_t rows, uint64_t columns) const override {
    expect_multiple("rows", rows, 8);
    const uint64_t groups = columns / group_;
    return {{".qweight", "I32", {columns, rows / 8}},
            {".qzeros", "I32", {groups, rows / 8}},
            {".scales", "F16", {groups, rows}}};
  }

  std::vector<std::vector<std::byte>> pack(const EncodedMatrix& matrix,
                                           std::string_view) const override {
    return {pack_awq(matrix.codes, matrix.columns), pack_awq(matrix.zeros, matrix.groups),
            f16_bytes(transposed(matrix.scales, matrix.groups))};
  }

  nlohmann::ordered_json config(std::string_view) const override {
    return {{"quant_method", "awq"}, {"bits", 4},          {"group_size", group_},
            {"version", "gemm"},     {"zero_point", true}, {"modules_to_not_convert", {"lm_head"}}};
  }

 private:
  uint64_t group_;
};

}  // namespace

LayoutWriterPtr awq_writer(uint64_t group) {
  return std::make_shared<AwqWriter>(group);
}

}  // namespace tessera::huggingface
