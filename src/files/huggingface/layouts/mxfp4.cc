// MXFP4 as gpt-oss has it: for each X, a matrix [rows, K] for each of E experts,
//
//   X_blocks  U8 [E, rows, K / 32, 16]   byte i of a block: element 2 i low, 2 i + 1 high
//   X_scales  U8 [E, rows, K / 32]       E8M0: 2^(byte - 127)
//
// become X.weight [E, rows, K] in MXFP4, whose blocks have elements i and i + 16 in byte i. Rows of
// "gate_up_proj" alternate: gate, up, gate, up.
#include "files/huggingface/layouts/mxfp4.h"

#include "base/error.h"
#include "files/huggingface/layouts/checks.h"
#include "files/huggingface/layouts/kinds.h"

namespace tessera::huggingface {
namespace {

constexpr uint64_t kColumns = 32, kCodeBytes = 16;  // of a block

class Mxfp4Rows final : public RowSource {
 public:
  Mxfp4Rows(uint64_t blocks, Bytes codes, Bytes scales)
      : blocks_(blocks), codes_(codes), scales_(scales) {}

  void read(uint64_t first, uint64_t count, std::byte* out) const override {
    const auto* code =
        reinterpret_cast<const uint8_t*>(codes_.data()) + first * blocks_ * kCodeBytes;
    for (uint64_t b = first * blocks_; b < (first + count) * blocks_; ++b, code += kCodeBytes) {
      *out++ = scales_[b];
      for (uint64_t i = 0; i < kCodeBytes; ++i) {
        const unsigned low = code[i / 2] >> (i % 2 * 4) & 15u;
        const unsigned high = code[kCodeBytes / 2 + i / 2] >> (i % 2 * 4) & 15u;
        *out++ = static_cast<std::byte>(low | high << 4);
      }
    }
  }
  std::vector<std::span<const std::byte>> stored() const override { return {codes_, scales_}; }

 private:
  uint64_t blocks_;  // of a row
  Bytes codes_, scales_;
};

}  // namespace

StoredTensor mxfp4_tensor(std::string name, std::vector<uint64_t> shape, Bytes codes,
                          Bytes scales) {
  StoredTensor tensor;
  tensor.name = std::move(name);
  tensor.shape = std::move(shape);
  tensor.format = &kMXFP4;
  tensor.source = std::make_shared<Mxfp4Rows>(tensor.shape[0] / kColumns, codes, scales);
  return tensor;
}

void apply_mxfp4(const Settings&, RawTensors& tensors) {
  for (const std::string& name : tensors.modules("_blocks")) {
    const StoredTensor& blocks = tensors.require(name + "_blocks");
    const StoredTensor& scales = tensors.require(name + "_scales");
    expect_dtype(blocks, "U8");
    expect_axes(blocks, 4);
    const std::vector<uint64_t> shape = torch_shape(blocks);
    expect_shape(blocks, {shape[0], shape[1], shape[2], kCodeBytes});
    expect_dtype(scales, "U8");
    expect_shape(scales, {shape[0], shape[1], shape[2]});
    tensors.replace(name + "_blocks",
                    mxfp4_tensor(name + ".weight", {shape[2] * kColumns, shape[1], shape[0]},
                                 blocks.bytes, scales.bytes));
    tensors.drop(name + "_scales");
  }
}

}  // namespace tessera::huggingface
