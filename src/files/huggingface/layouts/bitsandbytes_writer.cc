// bitsandbytes' NF4 and FP4, doubly quantized or not: see bitsandbytes.cc.
#include "files/huggingface/layouts/code_levels.h"
#include "files/huggingface/layouts/layout_writer.h"
#include "files/huggingface/layouts/pack_codes.h"
#include "formats/dynamic_map.h"

namespace tessera::huggingface {
namespace {

constexpr uint64_t kAbsmaxBlock = 64;  // elements that share an absmax
constexpr uint64_t kStateBytes = 256;  // of JSON, which may end in spaces

class BitsandbytesWriter final : public LayoutWriter {
 public:
  BitsandbytesWriter(std::string_view quant_type, bool nested)
      : type_(quant_type),
        codes_(quant_type == "nf4" ? GroupedCodes::kNF4 : GroupedCodes::kFP4),
        nested_(nested) {}

  std::vector<LayoutPart> parts(uint64_t rows, uint64_t columns) const override {
    const uint64_t blocks = rows * columns / kAbsmaxBlock;
    const std::string state = ".weight.quant_state.bitsandbytes__" + std::string(type_);
    std::vector<LayoutPart> parts = {{".weight", "U8", {rows * columns / 2, 1}},
                                     {".weight.absmax", nested_ ? "U8" : "F32", {blocks}},
                                     {".weight.quant_map", "F32", {16}},
                                     {state, "U8", {kStateBytes}}};
    if (nested_) {
      const uint64_t scales = (blocks + kNestedGroups - 1) / kNestedGroups;
      parts.push_back({".weight.nested_absmax", "F32", {scales}});
      parts.push_back({".weight.nested_quant_map", "F32", {signed_dynamic_map().size()}});
    }
    return parts;
  }

  std::vector<std::vector<std::byte>> pack(const EncodedMatrix& matrix,
                                           std::string_view dtype) const override {
    nlohmann::ordered_json state = {{"quant_type", type_},
                                    {"blocksize", kAbsmaxBlock},
                                    {"dtype", dtype},
                                    {"shape", {matrix.rows, matrix.columns}}};
    std::vector<std::byte> absmax;
    std::vector<float> nested;
    if (nested_) {
      state["nested_blocksize"] = kNestedGroups;
      state["nested_dtype"] = "float32";
      state["nested_offset"] = static_cast<double>(matrix.notes[0].common);
      for (size_t i = 0; i < matrix.notes.size(); ++i) {
        absmax.push_back(std::byte{matrix.notes[i].code});
        if (i % kNestedGroups == 0) nested.push_back(matrix.notes[i].scale);
      }
    } else {
      absmax = f32_bytes(matrix.scales);
    }
    std::string text = state.dump();
    text.resize(kStateBytes, ' ');
    const auto json = std::as_bytes(std::span(text));
    std::vector<std::vector<std::byte>> bytes = {pack_nibbles(matrix.codes, false),
                                                 std::move(absmax),
                                                 f32_bytes(levels_of(codes_)),
                                                 {json.begin(), json.end()}};
    if (nested_) {
      bytes.push_back(f32_bytes(nested));
      bytes.push_back(f32_bytes(signed_dynamic_map()));
    }
    return bytes;
  }

  nlohmann::ordered_json config(std::string_view dtype) const override {
    return {{"quant_method", "bitsandbytes"},
            {"load_in_4bit", true},
            {"load_in_8bit", false},
            {"bnb_4bit_quant_type", type_},
            {"bnb_4bit_use_double_quant", nested_},
            {"bnb_4bit_compute_dtype", dtype},
            {"bnb_4bit_quant_storage", "uint8"},
            {"llm_int8_skip_modules", {"lm_head"}}};
  }

 private:
  std::string_view type_;
  GroupedCodes codes_;
  bool nested_;
};

}  // namespace

LayoutWriterPtr bitsandbytes_writer(std::string_view quant_type, bool nested) {
  return std::make_shared<BitsandbytesWriter>(quant_type, nested);
}

}  // namespace tessera::huggingface
