// What is no matrix of its layout: one line that says what, where, and what was expected.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "files/huggingface/layouts/layouts.h"
#include "files/huggingface/layouts/name_pattern.h"
#include "files/safetensors/parse.h"
#include "support/error_of.h"
#include "support/safetensors.h"

namespace tessera::huggingface {
namespace {

using test::bytes_of;
using test::NamedTensor;
using testing::HasSubstr;

size_t size_of(const std::string& dtype) {
  if (dtype == "I64") return 8;
  if (dtype == "I32" || dtype == "F32") return 4;
  return dtype == "F16" || dtype == "BF16" ? 2 : 1;
}

NamedTensor zeros(const std::string& name, const std::string& dtype,
                  const std::vector<uint64_t>& shape) {
  size_t size = size_of(dtype);
  for (const uint64_t axis : shape) size *= axis;
  return {name, dtype, shape, std::string(size, '\0')};
}

NamedTensor text(const std::string& name, const std::string& bytes) {
  return {name, "U8", {bytes.size()}, bytes};
}

NamedTensor integers(const std::string& name, const std::vector<int64_t>& values) {
  return {name, "I64", {values.size()}, bytes_of(values)};
}

// What apply_layouts says of these tensors, under config.json: {"quantization_config": CONFIG}.
std::string error(const std::string& config, const std::vector<NamedTensor>& tensors,
                  const std::map<std::string, std::string>& metadata = {}) {
  const std::string file = test::safetensors_of(tensors);
  return error_of([&] {
    RawTensors raw;
    for (StoredTensor& tensor : safetensors::parse(std::as_bytes(std::span(file)), "test"))
      raw.add(std::move(tensor));
    raw.add_metadata(metadata);
    apply_layouts(nlohmann::json::parse(R"({"quantization_config": )" + config + "}"), nullptr,
                  raw);
  });
}

TEST(Layouts, AreTakenByTheirNames) {
  const auto embedding = zeros("e.weight", "F16", {4, 4});
  EXPECT_EQ(error("null", {embedding}), "(no error)");
  EXPECT_THAT(error(R"({"quant_method": "vptq\n"})", {embedding}),
              HasSubstr("weights quantized by 'vptq\\n' cannot be read (known: gptq, awq, "));
  EXPECT_THAT(error("[]", {embedding}),
              HasSubstr("quantization_config is of type array, expected an object"));
  EXPECT_THAT(error(R"({"quant_method": 4})", {embedding}),
              HasSubstr("'quant_method' of config.json.quantization_config is 4, expected a text"));
  EXPECT_EQ(error(R"({"load_in_8bit": true})", {embedding}), "(no error)");
}

TEST(Layouts, WhatModelOptSaysInAFileOfItsOwnIsHeard) {
  const auto tensors = {zeros("m.weight", "F8_E4M3", {4, 16}), zeros("m.weight_scale", "F32", {})};
  const std::string file = test::safetensors_of(std::vector<NamedTensor>(tensors));
  RawTensors raw;
  for (StoredTensor& tensor : safetensors::parse(std::as_bytes(std::span(file)), "test"))
    raw.add(std::move(tensor));
  const auto said = nlohmann::json::parse(R"({"quantization": {"quant_algo": "FP8"}})");
  apply_layouts(nlohmann::json::object(), &said, raw);
  EXPECT_EQ(raw.require("m.weight").format->name, "E4M3/16");
  EXPECT_EQ(raw.find("m.weight_scale"), nullptr);
  const auto other = nlohmann::json::parse(R"({"quantization": {"quant_algo": "W4A8_AWQ"}})");
  EXPECT_THAT(error_of([&] { apply_layouts(nlohmann::json::object(), &other, raw); }),
              HasSubstr("'quant_algo' of hf_quant_config.json.quantization is 'W4A8_AWQ'"));
}

// [64 inputs, 8 outputs] in groups of 32, whose parts may be replaced or left out.
std::vector<NamedTensor> gptq(const std::vector<NamedTensor>& others = {},
                              const std::string& without = "") {
  std::vector<NamedTensor> tensors = {
      zeros("m.qweight", "I32", {8, 8}), zeros("m.qzeros", "I32", {2, 1}),
      zeros("m.scales", "F16", {2, 8}), zeros("m.g_idx", "I32", {64})};
  std::erase_if(tensors, [&](const NamedTensor& tensor) {
    return tensor.name == without || std::ranges::any_of(others, [&](const NamedTensor& other) {
             return other.name == tensor.name;
           });
  });
  tensors.insert(tensors.end(), others.begin(), others.end());
  return tensors;
}

std::string gptq_config(const std::string& more) {
  return R"({"quant_method": "gptq", "bits": 4, "group_size": 32)" + more + "}";
}

TEST(Layouts, GptqOfOtherShapesIsRefused) {
  const std::string config = gptq_config("");
  EXPECT_EQ(error(config, gptq()), "(no error)");
  EXPECT_EQ(error(config, gptq({}, "m.g_idx")), "(no error)");
  EXPECT_THAT(error(config, gptq({}, "m.scales")), HasSubstr("'m.scales' is missing"));
  EXPECT_THAT(error(config, gptq({zeros("m.qweight", "F32", {8, 8})})),
              HasSubstr("'m.qweight' has the dtype F32, expected I32"));
  EXPECT_THAT(error(config, gptq({zeros("m.qweight", "I32", {64})})),
              HasSubstr("'m.qweight' has 1 axes, expected 2"));
  for (const NamedTensor& wrong :
       {zeros("m.qweight", "I32", {9, 8}), zeros("m.qweight", "I32", {8, 9}),
        zeros("m.qzeros", "I32", {1, 1}), zeros("m.qzeros", "I32", {2, 2}),
        zeros("m.scales", "F16", {3, 8}), zeros("m.scales", "F16", {2, 7}),
        zeros("m.g_idx", "I32", {63})}) {
    EXPECT_THAT(error(config, gptq({wrong})), HasSubstr("do not fit 4 bits in groups of 32"))
        << wrong.name;
  }
  EXPECT_THAT(error(config, gptq({zeros("m.weight", "F16", {1})})),
              HasSubstr("'m.weight' is there twice"));
}

TEST(Layouts, GptqOfGroupsThatAreNoneIsRefused) {
  for (const int32_t group : {2, -1, 2147483647}) {
    std::vector<int32_t> groups(64);
    groups[5] = group;
    EXPECT_THAT(error(gptq_config(""), gptq({{"m.g_idx", "I32", {64}, bytes_of(groups)}})),
                HasSubstr("input 5 is of group " + std::to_string(group) + ", expected 0 to 1"));
  }
}

TEST(Layouts, GptqOfStrangeSettingsIsRefused) {
  EXPECT_THAT(error(gptq_config(R"(, "checkpoint_format": "gptq_p")"), gptq()),
              HasSubstr("'checkpoint_format' of config.json.quantization_config is 'gptq_p', "
                        "expected gptq or gptq_v2"));
  EXPECT_THAT(error(R"({"quant_method": "gptq", "bits": 5})", gptq()),
              HasSubstr("'bits' of config.json.quantization_config is 5, expected 2, 3, 4 or 8"));
  EXPECT_THAT(error(R"({"quant_method": "gptq", "bits": "4"})", gptq()), HasSubstr("an integer"));
  EXPECT_THAT(error(R"({"quant_method": "gptq", "bits": 18446744073709551615})", gptq()),
              HasSubstr("an integer"));
  EXPECT_THAT(error(R"({"quant_method": "gptq", "bits": 4, "group_size": -2})", gptq()),
              HasSubstr("-1 (a row) or more"));
  EXPECT_THAT(error(R"({"quant_method": "gptq", "group_size": 9223372036854775807})", gptq()),
              HasSubstr("do not fit"));
  EXPECT_THAT(error(gptq_config(R"(, "dynamic": {"(": {"bits": 8}})"), gptq()),
              HasSubstr("the pattern '(' is no regular expression"));
  EXPECT_THAT(error(gptq_config(R"(, "dynamic": {"+:(a|a)*[bc]": {"bits": 8}})"),
                    {zeros(std::string(100, 'a') + ".qweight", "I32", {8, 8})}),
              HasSubstr("takes too long on 'aaa"));
}

TEST(Layouts, AwqOfOtherShapesIsRefused) {
  const auto said = [](const std::string& version, const std::vector<NamedTensor>& tensors) {
    return error(
        R"({"quant_method": "awq", "bits": 4, "group_size": 32, "version": ")" + version + "\"}",
        tensors);
  };
  const auto weight = zeros("m.qweight", "I32", {64, 2}),
             scales = zeros("m.scales", "F16", {2, 16});
  EXPECT_EQ(said("GEMM", {weight, scales, zeros("m.qzeros", "I32", {2, 2})}), "(no error)");
  EXPECT_EQ(said("gemm", {weight, scales}), "(no error)");
  EXPECT_THAT(said("gemm", {weight, scales, zeros("m.qzeros", "I32", {2, 1})}),
              HasSubstr("'m.qzeros' has the shape [2, 1], expected [2, 2]"));
  EXPECT_THAT(said("gemm", {weight, zeros("m.scales", "F16", {1, 16})}),
              HasSubstr("'m.scales' has the shape [1, 16], expected [2, 16]"));
  EXPECT_THAT(said("gemv", {weight, zeros("m.scales", "F16", {64, 0 + 8})}), "(no error)");
  EXPECT_THAT(said("gemv", {zeros("m.qweight", "I32", {4, 16}), zeros("m.scales", "F16", {4, 3})}),
              HasSubstr("'m.scales' has the shape [4, 3], expected [4, 4 or more]"));
  EXPECT_THAT(said("gemv_fast", {weight, scales}),
              HasSubstr("is 'gemv_fast', expected gemm or gemv"));
  EXPECT_THAT(error(R"({"quant_method": "awq", "w_bit": 3})", {weight, scales}),
              HasSubstr("'w_bit' of config.json.quantization_config is 3, expected 4"));
}

TEST(Layouts, BitsandbytesOfOtherShapesIsRefused) {
  const auto said = [](const std::string& state, const std::vector<NamedTensor>& others) {
    std::vector<NamedTensor> tensors = {zeros("m.weight", "U8", {64, 1}),
                                        zeros("m.weight.quant_map", "F32", {16}),
                                        text("m.weight.quant_state.bitsandbytes__nf4", state)};
    tensors.insert(tensors.end(), others.begin(), others.end());
    return error(R"({"quant_method": "bitsandbytes"})", tensors);
  };
  const auto absmax = zeros("m.weight.absmax", "F32", {2});
  const std::string state = R"({"shape": [2, 64], "blocksize": 64})";
  EXPECT_EQ(said(state, {absmax}), "(no error)");
  EXPECT_THAT(said(state, {}), HasSubstr("'m.weight.absmax' is missing"));
  EXPECT_THAT(said(state, {zeros("m.weight.absmax", "F32", {3})}),
              HasSubstr("'m.weight.absmax' has the shape [3], expected [2]"));
  EXPECT_THAT(said("{", {absmax}), HasSubstr("is no JSON"));
  EXPECT_THAT(said("[[[[", {absmax}), HasSubstr("is no JSON"));
  EXPECT_THAT(said(R"({"shape": [2, 65], "blocksize": 64})", {absmax}),
              HasSubstr("'m.weight' has 64 bytes, expected 65 for [2, 65]"));
  EXPECT_THAT(said(R"({"shape": [4294967296, 4294967296], "blocksize": 64})", {absmax}),
              HasSubstr("overflows"));
  for (const char* shape : {"[2]", "[2, 0]", "[2, -64]", "\"2\"", "[2.5, 1]", "null"}) {
    EXPECT_THAT(said(std::string(R"({"blocksize": 64, "shape": )") + shape + "}", {absmax}),
                HasSubstr("expected [rows, columns]"));
  }
  for (const char* size : {"0", "-1", "9999999999999"}) {
    EXPECT_THAT(said(std::string(R"({"shape": [2, 64], "blocksize": )") + size + "}", {absmax}),
                HasSubstr("expected 1 to 1048576"));
  }
  const auto nested = [&](const std::string& more) {
    return said(R"({"shape": [2, 64], "blocksize": 64)" + more + "}",
                {zeros("m.weight.absmax", "U8", {2}), zeros("m.weight.nested_absmax", "F32", {1}),
                 zeros("m.weight.nested_quant_map", "F32", {256})});
  };
  EXPECT_EQ(nested(R"(, "nested_blocksize": 256, "nested_offset": 0.5)"), "(no error)");
  EXPECT_THAT(nested(R"(, "nested_blocksize": 256)"), HasSubstr("'nested_offset'"));
  EXPECT_THAT(nested(R"(, "nested_blocksize": 256, "nested_offset": 1e300)"),
              HasSubstr("'nested_offset'"));
  EXPECT_THAT(nested(R"(, "nested_blocksize": 1, "nested_offset": 0)"),
              HasSubstr("'m.weight.nested_absmax' has the shape [1], expected [2]"));
}

TEST(Layouts, BitsandbytesInt8OfOtherShapesIsRefused) {
  const std::string config = R"({"quant_method": "bitsandbytes"})";
  const auto weight = zeros("m.weight", "I8", {4, 16}), scales = zeros("m.SCB", "F32", {4});
  EXPECT_EQ(error(config, {weight, scales}), "(no error)");
  EXPECT_THAT(error(config, {weight, zeros("m.SCB", "F32", {16})}),
              HasSubstr("'m.SCB' has the shape [16], expected [4]"));
  EXPECT_THAT(error(config, {scales}), HasSubstr("'m.weight' is missing"));
  EXPECT_THAT(error(config, {weight, scales, text("m.weight_format", "\2")}),
              HasSubstr("rows are tiled"));
}

TEST(Layouts, HqqOfOtherShapesIsRefused) {
  const auto said = [](const std::string& packing, int64_t axis, const std::vector<int64_t>& shape,
                       uint64_t scales, const NamedTensor& codes) {
    return error(
        R"({"quant_method": "hqq"})",
        {codes, zeros("m.scale", "F16", {scales, 1}), zeros("m.zero", "F16", {scales, 1}),
         integers("m.axis", {axis}), integers("m.shape", shape), text("m.packing", packing)});
  };
  const auto codes = zeros("m.W_q", "U8", {4, 16});  // [8, 16] in 4 bits
  EXPECT_EQ(said("4bit_u8", 1, {8, 16}, 8, codes), "(no error)");
  EXPECT_EQ(said("4bit_u8", 0, {8, 16}, 16, codes), "(no error)");
  EXPECT_THAT(said("4bit_u8", 2, {8, 16}, 8, codes), HasSubstr("'m.axis' is 2, expected 0 or 1"));
  EXPECT_THAT(said("__import__('os')", 1, {8, 16}, 8, codes), HasSubstr("is no packing of HQQ"));
  EXPECT_THAT(said("4bit_u8", 1, {8, -16}, 8, codes), HasSubstr("expected rows and columns"));
  EXPECT_THAT(said("4bit_u8", 1, {8}, 8, codes), HasSubstr("'m.shape' has the shape [1]"));
  EXPECT_THAT(said("4bit_u8", 1, {8, 16}, 7, codes), HasSubstr("which do not divide"));
  EXPECT_THAT(said("2bit_u8", 1, {8, 16}, 8, codes), HasSubstr("'m.W_q' has 64 words"));
  EXPECT_THAT(said("8bit_u8", 1, {8, 16}, 8, codes), HasSubstr("'m.W_q' has 64 words"));
  EXPECT_THAT(said("4bit_u8", 1, {1ll << 40, 1ll << 40}, 8, codes), HasSubstr("overflows"));
}

std::string compressed(const std::string& weights, const std::vector<NamedTensor>& tensors) {
  return error(R"({"quant_method": "compressed-tensors", "config_groups": {"group_0": {"targets": )"
               R"(["Linear"], "weights": {)" +
                   weights + "}}}}",
               tensors);
}

TEST(Layouts, CompressedTensorsOfOtherShapesAreRefused) {
  const std::string four = R"("num_bits": 4, "group_size": 32)";
  const auto packed = zeros("m.weight_packed", "I32", {8, 8}),
             shape = integers("m.weight_shape", {8, 64}),
             scales = zeros("m.weight_scale", "F16", {8, 2});
  EXPECT_EQ(compressed(four, {packed, shape, scales}), "(no error)");
  EXPECT_THAT(compressed(R"("num_bits": 3)", {packed, shape, scales}),
              HasSubstr("which no scheme of config_groups has for [8, 64]"));
  EXPECT_THAT(compressed(R"("num_bits": 9)", {packed, shape, scales}),
              HasSubstr("expected 1 to 8"));
  EXPECT_THAT(compressed(four, {packed, scales}), HasSubstr("'m.weight_shape' is missing"));
  EXPECT_THAT(compressed(four, {packed, integers("m.weight_shape", {-8, 64}), scales}),
              HasSubstr("'m.weight_shape' has the size -8"));
  EXPECT_THAT(compressed(four, {packed, shape, zeros("m.weight_scale", "F16", {7, 2})}),
              HasSubstr("'m.weight_scale' has the shape [7, 2], expected [8, groups]"));
  EXPECT_THAT(compressed(four, {packed, shape, zeros("m.weight_scale", "F16", {8, 65})}),
              HasSubstr("which do not divide 64 columns"));
  EXPECT_THAT(
      compressed(four, {packed, shape, scales, zeros("m.weight_zero_point", "I32", {1, 1})}),
      HasSubstr("'m.weight_zero_point' has the shape [1, 1], expected [1, 2]"));
  EXPECT_THAT(compressed(four, {packed, shape, scales, zeros("m.scale_packed", "F16", {1})}),
              HasSubstr("marlin-24"));
  EXPECT_THAT(compressed(four, {zeros("m.weight_packed", "U8", {8, 8}),
                                zeros("m.weight_scale", "U8", {8, 1})}),
              HasSubstr("has 16 columns, expected a multiple of 32"));
  EXPECT_THAT(compressed(four, {zeros("m.weight_packed", "U8", {8, 8}),
                                zeros("m.weight_scale", "U8", {8, 1}),
                                zeros("m.weight_global_scale", "F32", {1})}),
              HasSubstr("'m.weight_scale' has the dtype U8, expected F8_E4M3"));
  EXPECT_THAT(compressed(four, {scales}), HasSubstr("'m.weight' is missing"));
  // One scale, and yet an order of groups: the only one.
  EXPECT_EQ(compressed(four, {packed, shape, zeros("m.weight_scale", "F16", {1}),
                              zeros("m.weight_g_idx", "I32", {64})}),
            "(no error)");
  std::string many = "\"re:x\"";
  for (size_t i = 0; i < kMostNamePatterns; ++i) many += ", \"re:x\"";
  EXPECT_THAT(error(R"({"quant_method": "compressed-tensors", "config_groups": {"group_0":
                        {"targets": [)" +
                        many + R"(], "weights": {"num_bits": 4}}}})",
                    {packed, shape, scales}),
              HasSubstr("4096 targets at most"));
}

std::vector<float> values_of(const std::string& config, const std::vector<NamedTensor>& tensors) {
  const std::string file = test::safetensors_of(tensors);
  RawTensors raw;
  for (StoredTensor& tensor : safetensors::parse(std::as_bytes(std::span(file)), "test"))
    raw.add(std::move(tensor));
  apply_layouts(nlohmann::json::parse(R"({"quantization_config": )" + config + "}"), nullptr, raw);
  const StoredTensor& tensor = raw.require(raw.names().at(0));
  std::vector<float> values(tensor.elements());
  tensor.decode(0, tensor.rows(), values);
  return values;
}

// Before they were packed, zero points were signed bytes beside packed codes.
TEST(Layouts, CompressedTensorsWithZeroPointsInBytes) {
  const std::string config = R"({"quant_method": "compressed-tensors", "config_groups": {"group_0":
      {"targets": ["Linear"], "weights": {"num_bits": 4, "group_size": 32}}}})";
  const std::vector<uint16_t> ones(8, 0x3c00);
  const std::vector<int8_t> points = {-8, -7, -1, 0, 1, 2, 6, 7};
  const std::vector<float> values =
      values_of(config, {{"m.weight_packed", "I32", {4, 8}, std::string(size_t{4} * 8 * 4, '\x99')},
                         integers("m.weight_shape", {4, 64}),
                         {"m.weight_scale", "F16", {4, 2}, bytes_of(ones)},
                         {"m.weight_zero_point", "I8", {4, 2}, bytes_of(points)}});
  ASSERT_EQ(values.size(), 256u);
  for (size_t i = 0; i < values.size(); ++i)
    EXPECT_EQ(values[i], 1.0f - points[i / 32]) << i;  // code 9 is 1
}

// A grid that is larger than the blocks need is padded, where the configuration says how large they
// are.
TEST(Layouts, Fp8GridsThatArePadded) {
  std::vector<float> scales(2 * 12);
  for (size_t i = 0; i < scales.size(); ++i) scales[i] = static_cast<float>(i + 1);
  const std::vector<float> values = values_of(
      R"({"quant_method": "fp8", "weight_block_size": [128, 128]})",
      {{"m.weight", "F8_E4M3", {256, 1152}, std::string(size_t{256} * 1152, '\x38')},  // ones
       {"m.weight_scale_inv", "F32", {2, 12}, bytes_of(scales)}});
  EXPECT_EQ(values[0], 1.0f);
  EXPECT_EQ(values[127], 1.0f);
  EXPECT_EQ(values[128], 2.0f);
  EXPECT_EQ(values[1151], 9.0f);
  EXPECT_EQ(values[size_t{128} * 1152], 13.0f);
}

TEST(Layouts, SparseMatricesWithTheWrongBitsAreRefused) {
  const auto said = [](const std::string& bits, uint64_t values,
                       const std::vector<NamedTensor>& others = {}) {
    std::vector<NamedTensor> tensors = {{"m.bitmask", "U8", {2, 1}, bits},
                                        zeros("m.compressed", "BF16", {values}),
                                        integers("m.shape", {2, 6})};
    tensors.insert(tensors.end(), others.begin(), others.end());
    return error(R"({"quant_method": "compressed-tensors"})", tensors);
  };
  EXPECT_EQ(said("\x21\x01", 3), "(no error)");
  EXPECT_EQ(said("\x21\x01", 3, {integers("m.row_offsets", {0, 2})}), "(no error)");
  EXPECT_THAT(said("\x21\x01", 4), HasSubstr("has 3 bits that are set, expected 4"));
  EXPECT_THAT(said("\x21\x41", 4), HasSubstr("bits beyond column 6 in row 1"));
  EXPECT_THAT(said("\x21\x01", 3, {integers("m.row_offsets", {0, 1000000})}),
              HasSubstr("row 1 begins at value 1000000, expected 2"));
  EXPECT_THAT(said("\x21\x01", 3, {integers("m.row_offsets", {0})}), HasSubstr("'m.row_offsets'"));
}

TEST(Layouts, Fp8OfOtherShapesIsRefused) {
  const auto said = [](const std::string& more, const std::vector<NamedTensor>& tensors) {
    return error(R"({"quant_method": "fp8")" + more + "}", tensors);
  };
  const auto weight = zeros("m.weight", "F8_E4M3", {200, 144});
  EXPECT_EQ(said("", {weight, zeros("m.weight_scale_inv", "F32", {2, 2})}), "(no error)");
  EXPECT_EQ(said("", {weight, zeros("m.weight_scale_inv", "F32", {3, 2})}),
            "(no error)");  // padded
  EXPECT_EQ(said("", {weight, zeros("m.qscale_weight", "BF16", {})}), "(no error)");
  EXPECT_THAT(said("", {weight, zeros("m.weight_scale_inv", "F32", {1, 5})}),
              HasSubstr("'m.weight_scale_inv' has the shape [1, 5], expected [2, 2]"));
  EXPECT_THAT(said("", {weight, zeros("m.weight_scale", "F32", {144})}),
              HasSubstr("'m.weight_scale' has the shape [144], expected one scale or [200, 1]"));
  EXPECT_THAT(said("", {weight}), HasSubstr("'m.weight_scale_inv' is missing"));
  for (const char* size : {"128", "[128]", "[128, 0]", "[128, -1]", "[1, \"1\"]"}) {
    EXPECT_THAT(said(std::string(R"(, "weight_block_size": )") + size,
                     {weight, zeros("m.weight_scale_inv", "F32", {2, 2})}),
                HasSubstr("expected [rows, columns]"));
  }
}

TEST(Layouts, OthersOfOtherShapesAreRefused) {
  const auto blocks = zeros("m_blocks", "U8", {1, 2, 3, 16});
  const std::string mxfp4 = R"({"quant_method": "mxfp4"})";
  EXPECT_EQ(error(mxfp4, {blocks, zeros("m_scales", "U8", {1, 2, 3})}), "(no error)");
  EXPECT_THAT(error(mxfp4, {blocks, zeros("m_scales", "U8", {1, 3, 2})}),
              HasSubstr("'m_scales' has the shape [1, 3, 2], expected [1, 2, 3]"));
  EXPECT_THAT(error(mxfp4, {zeros("m_blocks", "U8", {1, 2, 3, 8})}), HasSubstr("is missing"));
  const auto packed = zeros("m.weight", "U8", {2, 16});
  EXPECT_EQ(error(R"({"quant_method": "bitnet"})", {packed, zeros("m.weight_scale", "BF16", {1})}),
            "(no error)");
  EXPECT_THAT(
      error(R"({"quant_method": "bitnet"})", {packed, zeros("m.weight_scale", "BF16", {2})}),
      HasSubstr("'m.weight_scale' has 2 numbers, expected one"));
  EXPECT_THAT(error(R"({"quant_method": "bitnet", "linear_class": "other"})", {packed}),
              HasSubstr("expected bitlinear or autobitlinear"));
  EXPECT_THAT(error(R"({"quant_method": "bitnet", "quantization_mode": "online"})", {packed}),
              HasSubstr("expected offline"));
  const std::string torchao = R"({"quant_method": "torchao"})";
  const auto codes = zeros("m._weight_qdata", "I8", {4, 32}),
             scale = zeros("m._weight_scale", "F32", {4, 1});
  EXPECT_THAT(error(torchao, {codes, scale}), HasSubstr("no metadata of a file says"));
  EXPECT_THAT(error(torchao, {codes, scale}, {{"m.weight", "{"}}), HasSubstr("is no JSON"));
  EXPECT_THAT(
      error(torchao, {codes, scale}, {{"m.weight", R"({"_type": "Int4TilePackedTo4dTensor"})"}}),
      HasSubstr("is 'Int4TilePackedTo4dTensor', expected Int8Tensor, "));
  EXPECT_EQ(error(torchao, {codes, scale}, {{"m.weight", R"({"_type": "Int8Tensor"})"}}),
            "(no error)");
  EXPECT_THAT(error(torchao, {codes, zeros("m._weight_scale", "F32", {3, 1})},
                    {{"m.weight", R"({"_type": "Int8Tensor"})"}}),
              HasSubstr("'m._weight_scale' has the shape [3, 1], expected [4, groups]"));
}

TEST(NamePatterns, MatchFromTheBeginningAsPythonDoes) {
  EXPECT_TRUE(NamePattern("model\\.layers\\.[0-3]\\.").matches("model.layers.2.mlp"));
  EXPECT_FALSE(NamePattern("layers").matches("model.layers.2.mlp"));
  EXPECT_TRUE(NamePattern(".*\\.(up|gate)_proj$").matches("model.layers.2.mlp.up_proj"));
  EXPECT_THAT(error_of([] { NamePattern(std::string(5000, '(')); }), HasSubstr("5000 bytes"));
}

}  // namespace
}  // namespace tessera::huggingface
