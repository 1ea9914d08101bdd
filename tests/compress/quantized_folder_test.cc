// Quantized Hugging Face folders: what a model becomes in each, by rounding and by GPTQ.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "compress/quantize.h"
#include "files/open.h"
#include "support/error_of.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr int kEmbedding = 128;
const TinyModelSpec kSpec{.layers = 2, .embedding = kEmbedding, .feed_forward = 256};

std::vector<float> values_of(const StoredTensor& tensor) {
  std::vector<float> values(tensor.elements());
  tensor.decode(0, tensor.rows(), values);
  return values;
}

double relative_error(const StoredTensor& found, const StoredTensor& expected) {
  const auto a = values_of(found), b = values_of(expected);
  double error = 0, size = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    error += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
    size += std::pow(static_cast<double>(b[i]), 2);
  }
  return std::sqrt(error / size);
}

// The length of what stands behind the header.
uint64_t data_bytes(const fs::path& safetensors) {
  const std::string bytes = test::read_bytes(safetensors);
  uint64_t header;
  std::memcpy(&header, bytes.data(), sizeof(header));
  return bytes.size() - sizeof(header) - header;
}

class QuantizedFolders : public testing::Test {
 protected:
  QuantizeSummary quantize(const fs::path& source, const std::string& format,
                           const std::string& method = "rtn") {
    QuantizeOptions options{.format = format, .overwrite = true, .threads = 2, .method = method};
    options.calibration_length = 64;
    if (method != "rtn") {
      for (int i = 0; i < 60; ++i) options.calibration += "word " + std::to_string(i * i % 97);
    }
    return quantize_file(source, options, out_);
  }

  test::TempFolder folder_;
  const fs::path out_ = folder_ / "out/";
};

struct Kind {
  const char* format;
  const char* tool;     // quantization_config.quant_method
  double most;          // relative error of a matrix
  const char* dtype;    // of the model, if the source is BF16
  const char* keys[2];  // of quantization_config, which must be there
};
constexpr Kind kKinds[] = {
    {"gptq-4bit-32g", "gptq", 0.12, "float16", {"bits", "group_size"}},
    {"gptq-3bit-64g-asym", "gptq", 0.25, "float16", {"desc_act", "sym"}},
    {"gptq-4bit-row", "gptq", 0.2, "float16", {"bits", "group_size"}},
    {"hqq-4bit-64g", "hqq", 0.1, "float16", {"quant_config", "skip_modules"}},
    {"hqq-3bit-32g", "hqq", 0.22, "float16", {"quant_config", "skip_modules"}},
    {"awq-4bit-64g", "awq", 0.12, "float16", {"version", "zero_point"}},
    {"W4A16", "compressed-tensors", 0.13, "float16", {"config_groups", "ignore"}},
    {"W8A8", "compressed-tensors", 0.02, "bfloat16", {"config_groups", "format"}},
    {"FP8_DYNAMIC", "compressed-tensors", 0.04, "bfloat16", {"config_groups", "format"}},
    {"NVFP4A16", "compressed-tensors", 0.12, "bfloat16", {"config_groups", "format"}},
    {"bnb-nf4-double", "bitsandbytes", 0.12, "bfloat16", {"load_in_4bit", "bnb_4bit_quant_type"}},
};

TEST_F(QuantizedFolders, HoldWhatTheModelIs) {
  TinyModelSpec spec = kSpec;
  spec.format = &kBF16;
  const fs::path source = write_tiny_model(spec, folder_.path());
  const auto before = open_checkpoint(source);
  for (const Kind& kind : kKinds) {
    const QuantizeSummary summary = quantize(source, kind.format);
    const auto after = open_checkpoint(out_);
    ASSERT_EQ(after->tensors().size(), before->tensors().size()) << kind.format;
    for (const StoredTensor& tensor : before->tensors()) {
      const StoredTensor& found = after->require(tensor.place);
      ASSERT_EQ(found.shape, tensor.shape) << tensor.name;
      // Matrices in layers are as near as the grid can be; all else is in one type, as loaders
      // expect.
      const bool is_quantized = tensor.shape.size() > 1 && tensor.place.layer >= 0;
      const double rounding = std::string(kind.dtype) == "bfloat16" ? 0x1p-9 : 0x1p-12;
      EXPECT_LE(relative_error(found, tensor), is_quantized ? kind.most : rounding)
          << kind.format << " " << tensor.name;
    }
    // What the summary says the tensors take is what they take.
    EXPECT_EQ(summary.bytes_after, data_bytes(out_ / "model.safetensors")) << kind.format;

    const auto config = nlohmann::json::parse(test::read_bytes(out_ / "config.json"));
    const auto& quantization = config["quantization_config"];
    EXPECT_EQ(quantization["quant_method"], kind.tool);
    EXPECT_EQ(config["torch_dtype"], kind.dtype) << kind.format;
    for (const char* key : kind.keys) EXPECT_TRUE(quantization.contains(key)) << key;
  }
}

// Scales of a row, of a matrix and of a block: all are there before GPTQ chooses codes, and the
// next layer is calibrated on what was stored.
TEST_F(QuantizedFolders, AreWrittenByAnyMethod) {
  const fs::path source = write_tiny_model(kSpec, folder_.path());
  for (const char* format : {"gptq-4bit-128g-asym", "gptq-3bit-row", "hqq-4bit-64g", "W8A16",
                             "NVFP4A16", "bnb-fp4-double"}) {
    const QuantizeSummary summary = quantize(source, format, "gptq");
    const auto after = open_checkpoint(out_), before = open_checkpoint(source);
    for (size_t i = 0; i < summary.tensors.size(); ++i) {
      const StoredTensor& tensor = before->tensors()[i];
      if (tensor.shape.size() == 1) continue;
      EXPECT_NEAR(relative_error(after->require(tensor.place), tensor),
                  summary.tensors[i].relative_error, 1e-6)
          << format << " " << tensor.name;
    }
  }
}

TEST_F(QuantizedFolders, ExpertsHaveTensorsOfTheirOwn) {
  TinyModelSpec spec = kSpec;
  spec.architecture = "qwen3moe";
  const fs::path source = write_tiny_model(spec, folder_.path());
  const auto before = open_checkpoint(source);
  for (const char* method : {"rtn", "gptq"}) {
    for (const char* format : {"gptq-4bit-32g", "awq-4bit-32g", "hqq-4bit-32g", "NVFP4A16"}) {
      quantize(source, format, method);
      const std::string file = test::read_bytes(out_ / "model.safetensors");
      EXPECT_THAT(file, HasSubstr("\"model.layers.1.mlp.experts.5.down_proj."));
      EXPECT_THAT(file, HasSubstr("\"model.layers.1.mlp.gate.weight\""));
      const auto after = open_checkpoint(out_);
      for (const TensorRole role : {TensorRole::kExpertsGate, TensorRole::kExpertsDown}) {
        const StoredTensor& tensor = before->require({role, 1});
        ASSERT_EQ(after->require(tensor.place).shape, tensor.shape);
        EXPECT_LE(relative_error(after->require(tensor.place), tensor), 0.2)
            << method << " " << format;
      }
    }
  }
}

TEST_F(QuantizedFolders, FromFolderToFolder) {
  const fs::path source = write_tiny_model(kSpec, folder_.path());
  const fs::path first = folder_ / "first/";
  quantize_file(source, {.format = "gptq-4bit-64g", .threads = 2}, first);
  quantize(first, "gptq-4bit-64g");  // the same grid: every code stays
  const auto a = open_checkpoint(first), b = open_checkpoint(out_);
  for (const StoredTensor& tensor : a->tensors())
    EXPECT_EQ(values_of(b->require(tensor.place)), values_of(tensor)) << tensor.name;
}

TEST_F(QuantizedFolders, WhatCannotBeIsSaidFirst) {
  const fs::path source = write_tiny_model(kSpec, folder_.path());
  const auto error = [&](QuantizeOptions options, const fs::path& out) {
    return error_of([&] { quantize_file(source, options, out); });
  };
  EXPECT_THAT(error({.format = "gptq-4bit-128g"}, folder_ / "model.gguf"),
              HasSubstr("gptq-4bit-128g is a Hugging Face folder: name one to write"));
  EXPECT_THAT(error({.format = "W4A16", .pure = true}, out_), HasSubstr("no mixture that --pure"));
  EXPECT_THAT(error({.format = "gptq-5bit-128g"}, out_),
              HasSubstr("unknown format 'gptq-5bit-128g'; known are F32"));
  const fs::path narrow = write_tiny_model({.embedding = 64}, folder_.path());
  EXPECT_THAT(error_of([&] { quantize_file(narrow, {.format = "awq-4bit-128g"}, out_); }),
              HasSubstr("has 64 columns, which groups of 128 do not divide (awq-4bit-128g)"));
  EXPECT_FALSE(fs::exists(out_));
}

}  // namespace
}  // namespace tessera
