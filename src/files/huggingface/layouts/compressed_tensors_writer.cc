// compressed-tensors, in the schemes that llm-compressor calls W4A16, W8A8, FP8_DYNAMIC, NVFP4A16,
// MXFP4A16: see compressed_tensors.cc.
#include <array>

#include "files/huggingface/layouts/codes.h"
#include "files/huggingface/layouts/layout_writer.h"
#include "files/huggingface/layouts/pack_codes.h"

namespace tessera::huggingface {
namespace {

using nlohmann::ordered_json;

ordered_json weight_arguments(int bits, const char* type, const char* strategy) {
  return {{"num_bits", bits},
          {"type", type},
          {"symmetric", true},
          {"strategy", strategy},
          {"dynamic", false}};
}

ordered_json one_group(const char* format, const ordered_json& weights,
                       const ordered_json& activations = nullptr) {
  const ordered_json group = {{"targets", {"Linear"}},
                              {"weights", weights},
                              {"input_activations", activations},
                              {"output_activations", nullptr}};
  return {{"quant_method", "compressed-tensors"},
          {"format", format},
          {"quantization_status", "compressed"},
          {"config_groups", {{"group_0", group}}},
          {"ignore", {"lm_head"}}};
}

// A scale for each token, when it runs.
ordered_json dynamic_activations(const char* type) {
  return {{"num_bits", 8},
          {"type", type},
          {"symmetric", true},
          {"strategy", "token"},
          {"dynamic", true}};
}

PackedBytes code_bytes(const EncodedMatrix& matrix, uint8_t flip = 0) {
  PackedBytes bytes;
  bytes.reserve(matrix.codes.size());
  for (const uint8_t code : matrix.codes) bytes.push_back(static_cast<std::byte>(code ^ flip));
  return bytes;
}

class PackedWriter final : public LayoutWriter {
 public:
  explicit PackedWriter(const GroupScheme& scheme) : scheme_(scheme) {}

  std::vector<LayoutPart> parts(uint64_t rows, uint64_t columns) const override {
    const uint64_t groups = scheme_.group == 0 ? 1 : columns / scheme_.group;
    std::vector<LayoutPart> parts = {
        {".weight_packed", "I32", {rows, words_of(columns, scheme_.bits, true)}},
        {".weight_scale", scheme_.group == 0 ? "F32" : "F16", {rows, groups}},
        {".weight_shape", "I64", {2}}};
    if (!scheme_.symmetric)
      parts.push_back({".weight_zero_point", "I32", {words_of(rows, scheme_.bits, true), groups}});
    return parts;
  }

  std::vector<PackedBytes> pack(const EncodedMatrix& matrix, std::string_view) const override {
    const std::array<uint64_t, 2> shape = {matrix.rows, matrix.columns};
    const auto as_bytes = std::as_bytes(std::span(shape));
    std::vector<PackedBytes> bytes = {
        pack_row_words(matrix.codes, matrix.columns, scheme_.bits),
        scheme_.group == 0 ? f32_bytes(matrix.row_scales()) : f16_bytes(matrix.scales),
        {as_bytes.begin(), as_bytes.end()}};
    if (!scheme_.symmetric)
      bytes.push_back(
          pack_column_words(transposed(matrix.zeros, matrix.groups), matrix.rows, scheme_.bits));
    return bytes;
  }

  ordered_json config(std::string_view) const override {
    ordered_json arguments =
        weight_arguments(scheme_.bits, "int", scheme_.group == 0 ? "channel" : "group");
    arguments["symmetric"] = scheme_.symmetric;
    if (scheme_.group > 0) arguments["group_size"] = scheme_.group;
    return one_group("pack-quantized", arguments);
  }

 private:
  GroupScheme scheme_;
};

// A scale for each row, and activations rounded by each row's own.
class ChannelWriter final : public LayoutWriter {
 public:
  // `flip`: the bits by which codes as they are stored there differ.
  ChannelWriter(const char* format, const char* type, const char* dtype, uint8_t flip)
      : format_(format), type_(type), dtype_(dtype), flip_(flip) {}

  std::vector<LayoutPart> parts(uint64_t rows, uint64_t columns) const override {
    return {{".weight", dtype_, {rows, columns}}, {".weight_scale", "F32", {rows, 1}}};
  }
  std::vector<PackedBytes> pack(const EncodedMatrix& matrix, std::string_view) const override {
    return {code_bytes(matrix, flip_), f32_bytes(matrix.row_scales())};
  }
  ordered_json config(std::string_view) const override {
    return one_group(format_, weight_arguments(8, type_, "channel"), dynamic_activations(type_));
  }

 private:
  const char *format_, *type_, *dtype_;
  uint8_t flip_;
};

class Nvfp4Writer final : public LayoutWriter {
 public:
  std::vector<LayoutPart> parts(uint64_t rows, uint64_t columns) const override {
    return {{".weight_packed", "U8", {rows, columns / 2}},
            {".weight_scale", "F8_E4M3", {rows, columns / 16}},
            {".weight_global_scale", "F32", {1}}};
  }
  std::vector<PackedBytes> pack(const EncodedMatrix& matrix, std::string_view) const override {
    PackedBytes scales;
    for (const ScaleNote& note : matrix.notes) scales.push_back(std::byte{note.code});
    return {pack_nibbles(matrix.codes, true), std::move(scales),
            f32_bytes({&matrix.notes[0].common, 1})};
  }
  ordered_json config(std::string_view) const override {
    ordered_json arguments = weight_arguments(4, "float", "tensor_group");
    arguments["group_size"] = 16;
    return one_group("nvfp4-pack-quantized", arguments);
  }
};

class Mxfp4Writer final : public LayoutWriter {
 public:
  std::vector<LayoutPart> parts(uint64_t rows, uint64_t columns) const override {
    return {{".weight_packed", "U8", {rows, columns / 2}},
            {".weight_scale", "U8", {rows, columns / 32}}};
  }
  std::vector<PackedBytes> pack(const EncodedMatrix& matrix, std::string_view) const override {
    PackedBytes exponents;
    for (const float exponent : matrix.scales)
      exponents.push_back(std::byte{static_cast<uint8_t>(exponent)});
    return {pack_nibbles(matrix.codes, true), std::move(exponents)};
  }
  ordered_json config(std::string_view) const override {
    ordered_json arguments = weight_arguments(4, "float", "group");
    arguments["group_size"] = 32;
    arguments["scale_dtype"] = "torch.uint8";
    return one_group("mxfp4-pack-quantized", arguments);
  }
};

}  // namespace

LayoutWriterPtr packed_writer(const GroupScheme& scheme) {
  return std::make_shared<PackedWriter>(scheme);
}

LayoutWriterPtr w8a8_writer() {
  return std::make_shared<ChannelWriter>("int-quantized", "int", "I8", 0x80);
}

LayoutWriterPtr fp8_dynamic_writer() {
  return std::make_shared<ChannelWriter>("float-quantized", "float", "F8_E4M3", 0);
}

LayoutWriterPtr nvfp4_writer() {
  return std::make_shared<Nvfp4Writer>();
}

LayoutWriterPtr mxfp4_writer() {
  return std::make_shared<Mxfp4Writer>();
}

}  // namespace tessera::huggingface
