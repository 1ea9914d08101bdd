// I2_S with its scale behind it, NVFP4 with its factor beside it: the values of the official
// converters (tests/tools/make_gguf_goldens.py), and what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/mapped_file.h"
#include "files/gguf/compound_tensors.h"
#include "files/gguf/reader.h"
#include "files/gguf/writer.h"
#include "files/safetensors/parse.h"
#include "formats/shared_scales.h"
#include "paths.h"
#include "support/error_of.h"
#include "support/random_floats.h"
#include "support/temp_folder.h"

namespace tessera {
namespace {

using testing::HasSubstr;

class Golden {
 public:
  explicit Golden(const char* name)
      : file_(std::filesystem::path(TESSERA_TEST_DATA) / "gguf" / name),
        tensors_(safetensors::parse(file_.bytes(), name)) {}

  std::vector<std::byte> bytes(std::string_view name) const {
    const auto& part = find(name).bytes;
    return {part.begin(), part.end()};
  }
  std::vector<float> values() const {
    const StoredTensor& tensor = find("values");
    std::vector<float> values(tensor.elements());
    tensor.decode(0, tensor.rows(), values);
    return values;
  }

 private:
  const StoredTensor& find(std::string_view name) const {
    return *std::ranges::find(tensors_, name, &StoredTensor::name);
  }
  const MappedFile file_;
  const std::vector<StoredTensor> tensors_;
};

struct Part {
  std::string name;
  const Format* format;
  std::vector<uint64_t> shape;
  std::vector<std::byte> bytes;
};

class CompoundTensors : public testing::Test {
 protected:
  GgufFile open(const std::vector<Part>& parts) const {
    const auto path = folder_ / "m.gguf";
    GgufWriter writer((GgufMetadata()));
    for (const Part& part : parts) writer.declare(part.name, *part.format, part.shape);
    writer.write(path, [&](size_t i) { return parts[i].bytes; });
    return GgufFile::open(path);
  }
  std::string error(const std::vector<Part>& parts) const {
    return error_of([&] { open(parts); });
  }

  // As a whole and row by row: the same bits as `values`.
  static void expect_values(const StoredTensor& tensor, const std::vector<float>& values) {
    ASSERT_EQ(tensor.elements(), values.size());
    std::vector<float> all(values.size()), row(tensor.columns());
    tensor.decode(0, tensor.rows(), all);
    for (size_t i = 0; i < values.size(); ++i) {
      const size_t column = i % row.size();
      if (column == 0) tensor.decode(i / row.size(), 1, row);
      // No zero of floats that are read has a sign of its own.
      ASSERT_EQ(all[i], values[i]) << i;
      ASSERT_EQ(row[column], values[i]) << i;
    }
  }

  const Format* i2_s_ = find_format("I2_S");
  test::TempFolder folder_;
};

TEST_F(CompoundTensors, TernaryWithItsScaleBehindIt) {
  const Golden golden("i2_s.safetensors");
  const GgufFile file = open({{"blk.0.attn_q.weight", i2_s_, {256, 4}, golden.bytes("bytes")},
                              {"after", &kF32, {1}, std::vector<std::byte>(4)}});
  const StoredTensor& tensor = file.require_tensor("blk.0.attn_q.weight");
  EXPECT_EQ(tensor.format->name, "INT2/128");
  EXPECT_EQ(tensor.stored_bytes(), 256u + 32u);
  expect_values(tensor, golden.values());
}

TEST_F(CompoundTensors, TheCodeThatNobodyWritesIsZero) {
  std::vector<std::byte> bytes(32 + 32, std::byte{0b11'10'01'00});
  const float scale = 0.5f;
  std::memcpy(&bytes[32], &scale, sizeof(scale));
  const GgufFile file = open({{"x.weight", i2_s_, {128}, bytes}});
  std::vector<float> values;
  for (const float value : {0.0f, 0.5f, 0.0f, -0.5f}) values.insert(values.end(), 32, value);
  expect_values(file.tensors()[0], values);
}

TEST_F(CompoundTensors, ATernaryFileWithoutItsTailIsCutShort) {
  const auto path = folder_ / "m.gguf";
  GgufWriter writer((GgufMetadata()));
  writer.declare("x.weight", *i2_s_, {128, 2});
  writer.write(path, [](size_t) { return std::vector<std::byte>(64 + 32); });
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
  EXPECT_THAT(error_of([&] { GgufFile::open(path); }), HasSubstr("lie outside the file"));
}

TEST_F(CompoundTensors, FloatsWithTheirFactorBesideThem) {
  const Golden golden("nvfp4.safetensors");
  const GgufFile file = open({{"blk.0.ffn_up.scale", &kF32, {1}, golden.bytes("scale")},
                              {"blk.0.ffn_up.weight", &kNVFP4, {128, 4}, golden.bytes("bytes")},
                              {"blk.0.ffn_up.input_scale", &kF32, {1}, golden.bytes("scale")}});
  ASSERT_EQ(file.tensors().size(), 1u);
  EXPECT_EQ(file.tensors()[0].name, "blk.0.ffn_up.weight");
  EXPECT_EQ(file.tensors()[0].stored_bytes(), 4 * 72u + 4u);
  expect_values(file.tensors()[0], golden.values());
}

// Weights as small as those of language models, whose own scales would be of few bits.
TEST_F(CompoundTensors, FloatsAreWrittenWithTheirFactor) {
  std::vector<float> values = random_floats(128 * 6, 3);
  for (float& value : values) value *= 0.002f;
  const Format& format = gguf::factored_nvfp4();
  std::vector<std::byte> bytes(format.row_bytes(128) * 6);
  write_shared_scales(format, values, 128, bytes.data());
  format.encode(values, bytes.data(), {});
  GgufWriter writer((GgufMetadata()));
  writer.declare("blk.0.ffn_up.weight", format, {128, 6});
  writer.declare("blk.0.ffn_down_exps.weight", format, {128, 3, 2});
  writer.declare("blk.0.norm.weight", kF32, {1});
  EXPECT_EQ(writer.stored_bytes(0), 6 * 72U + 4U);
  EXPECT_EQ(writer.stored_bytes(2), 4U);
  writer.write(folder_ / "m.gguf",
               [&](size_t i) { return i == 2 ? std::vector<std::byte>(4) : bytes; });
  const GgufFile file = GgufFile::open(folder_ / "m.gguf");
  ASSERT_EQ(file.tensors().size(), 3U);
  std::vector<float> encoded(values.size()), found(values.size()), plain(values.size());
  format.decode(bytes.data(), encoded);
  double error = 0, plain_error = 0;
  std::vector<std::byte> blocks(kNVFP4.row_bytes(128) * 6);
  kNVFP4.encode(values, blocks.data(), {});
  kNVFP4.decode(blocks.data(), plain);
  for (const size_t tensor : {0, 1}) {
    file.tensors()[tensor].decode(0, 6, found);
    for (size_t i = 0; i < found.size(); ++i)
      EXPECT_FLOAT_EQ(found[i], encoded[i]) << tensor << " " << i;
  }
  for (size_t i = 0; i < found.size(); ++i) {
    error += std::pow(found[i] - values[i], 2);
    plain_error += std::pow(plain[i] - values[i], 2);
  }
  EXPECT_LT(error, 0.8 * plain_error);
}

TEST_F(CompoundTensors, FloatsWithoutAFactorStayAsTheyAre) {
  const Golden golden("nvfp4.safetensors");
  const GgufFile file = open({{"x.weight", &kNVFP4, {128, 4}, golden.bytes("bytes")}});
  EXPECT_EQ(file.tensors()[0].format, &kNVFP4);
  EXPECT_EQ(file.tensors()[0].source, nullptr);
}

TEST_F(CompoundTensors, EveryExpertHasAFactor) {
  const Golden golden("nvfp4.safetensors");
  std::vector<std::byte> factors(8);
  const float numbers[] = {2.0f, -0.5f};
  std::memcpy(factors.data(), numbers, sizeof(numbers));
  const GgufFile file = open({{"x.weight", &kNVFP4, {128, 2, 2}, golden.bytes("bytes")},
                              {"x.scale", &kF32, {2}, factors}});
  std::vector<float> values(4 * 128);
  kNVFP4.decode(golden.bytes("bytes").data(), values);
  for (size_t i = 0; i < values.size(); ++i) values[i] *= numbers[i / 256];
  expect_values(file.tensors()[0], values);
}

TEST_F(CompoundTensors, FactorsOfOtherShapesAndTypesAreRefused) {
  const Golden golden("nvfp4.safetensors");
  const auto with = [&](const Format& format, uint64_t count) {
    return error({{"x.weight", &kNVFP4, {128, 4}, golden.bytes("bytes")},
                  {"x.scale", &format, {count}, std::vector<std::byte>(format.row_bytes(count))}});
  };
  EXPECT_THAT(with(kF32, 2), HasSubstr("'x.scale' holds 2 numbers, expected 1"));
  EXPECT_THAT(with(kF16, 1), HasSubstr("'x.scale' has format F16, expected F32"));
}

TEST_F(CompoundTensors, ScalesThatAreNoNumbersAreRefused) {
  const Golden golden("nvfp4.safetensors");
  for (const float scale : {std::nanf(""), INFINITY}) {
    std::vector<std::byte> factor(4), ternary(32 + 32);
    std::memcpy(factor.data(), &scale, sizeof(scale));
    std::memcpy(&ternary[32], &scale, sizeof(scale));
    EXPECT_THAT(error({{"x.weight", &kNVFP4, {128, 4}, golden.bytes("bytes")},
                       {"x.scale", &kF32, {1}, factor}}),
                HasSubstr("'x.scale': its scale is"));
    EXPECT_THAT(error({{"x.weight", i2_s_, {128}, ternary}}),
                HasSubstr("'x.weight': its scale is"));
  }
}

TEST_F(CompoundTensors, WhatStandsBesideOtherFormatsIsLeftToTheArchitecture) {
  const GgufFile file = open({{"x.weight", &kF32, {2}, std::vector<std::byte>(8)},
                              {"x.scale", &kF32, {1}, std::vector<std::byte>(4)}});
  EXPECT_EQ(file.tensors().size(), 2u);
}

}  // namespace
}  // namespace tessera
