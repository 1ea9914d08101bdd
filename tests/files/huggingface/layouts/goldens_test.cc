// Matrices that the official packages wrote, and the values that these packages read out of them:
// tests/tools/make_layout_goldens.py.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/half.h"
#include "base/mapped_file.h"
#include "files/huggingface/layouts/layouts.h"
#include "files/safetensors/parse.h"
#include "paths.h"

namespace tessera::huggingface {
namespace {

const std::filesystem::path kFolder = std::filesystem::path(TESSERA_TEST_DATA) / "layouts";

std::vector<std::string> cases() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder))
    if (entry.path().extension() == ".json") names.push_back(entry.path().stem());
  std::ranges::sort(names);
  return names;
}

// By how many units of the last place a value may differ, where the package computes it otherwise
// than from one scale and one zero; 0 elsewhere.
const std::map<std::string, int> kTolerances = {
    // (q * SCB) * (1 / 127), two roundings; here q * (SCB / 127), where the scale is rounded.
    {"bnb_int8", 2},
    // q / scale; here q * (1 / scale).
    {"bitnet_divides", 1},
};

// HQQ computes (q - zero) in the type of the scales and rounds it; here -zero * scale is the
// minimum, in F32. In units of the last place of the largest value of a row's magnitude: what is
// rounded is of the size of the zero, not of the difference.
bool is_hqq(const std::string& name) {
  return name.starts_with("hqq");
}

class LayoutGoldens : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const auto path = [&](const char* suffix) { return kFolder / (GetParam() + suffix); };
    std::ifstream stream(path(".json"));
    config_ = nlohmann::json::parse(stream);
    file_.emplace(path(".safetensors"));
    values_file_.emplace(path(".values.safetensors"));
    safetensors::Metadata metadata;
    for (StoredTensor& tensor : safetensors::parse(file_->bytes(), "golden", &metadata))
      tensors_.add(std::move(tensor));
    tensors_.add_metadata(metadata);
    values_ = safetensors::parse(values_file_->bytes(), "values");
  }

  nlohmann::json config_;
  std::optional<MappedFile> file_, values_file_;
  RawTensors tensors_;
  std::vector<StoredTensor> values_;
};

// As the type that the package computes in has it.
float rounded(float value, const Format& format) {
  if (&format == &kF16) return f16_to_f32(f32_to_f16(value));
  if (&format == &kBF16) return bf16_to_f32(f32_to_bf16(value));
  return value;
}

float unit_of(float value, const Format& format) {
  const float digits = &format == &kF16 ? 0x1p-10f : &format == &kBF16 ? 0x1p-7f : 0x1p-23f;
  int exponent;
  std::frexp(value, &exponent);
  return std::ldexp(digits, exponent - 1);
}

TEST_P(LayoutGoldens, ValuesAreThoseOfThePackage) {
  apply_layouts(config_, nullptr, tensors_);
  for (const StoredTensor& expected : values_) {
    const StoredTensor& tensor = tensors_.require(expected.name);
    ASSERT_EQ(tensor.shape, expected.shape);
    std::vector<float> found(tensor.elements()), wanted(tensor.elements());
    tensor.decode(0, tensor.rows(), found);
    expected.decode(0, expected.rows(), wanted);
    const auto tolerance = kTolerances.find(GetParam());
    float largest = 0;
    for (const float value : wanted) largest = std::max(largest, std::fabs(value));
    size_t wrong = 0;
    float worst = 0;
    for (size_t i = 0; i < wanted.size(); ++i) {
      const float value = rounded(found[i], *expected.format);
      float allowed = 0;
      if (tolerance != kTolerances.end())
        allowed = static_cast<float>(tolerance->second) * unit_of(wanted[i], *expected.format);
      if (is_hqq(GetParam())) allowed = unit_of(largest, *expected.format);
      const float error = std::fabs(value - wanted[i]);
      if (!(error <= allowed)) ++wrong;
      worst = std::max(worst, error / unit_of(wanted[i], *expected.format));
    }
    EXPECT_EQ(wrong, 0u) << expected.name << " of " << wanted.size() << ", as "
                         << tensor.format->name << ", worst by " << worst
                         << " units of the last place";
  }
}

TEST_P(LayoutGoldens, NothingElseIsLeft) {
  apply_layouts(config_, nullptr, tensors_);
  std::vector<std::string> names;
  for (const StoredTensor& expected : values_) names.push_back(expected.name);
  EXPECT_THAT(tensors_.names(), testing::UnorderedElementsAreArray(names));
}

TEST_P(LayoutGoldens, AnyRowsCanBeRead) {
  apply_layouts(config_, nullptr, tensors_);
  for (const std::string& name : tensors_.names()) {
    const StoredTensor& tensor = tensors_.require(name);
    std::vector<float> all(tensor.elements());
    tensor.decode(0, tensor.rows(), all);
    uint64_t first = 0;
    for (uint64_t count = 1; first < tensor.rows(); first += count, count = count * 2 + 1) {
      const uint64_t rows = std::min(count, tensor.rows() - first);
      std::vector<float> some(rows * tensor.columns());
      tensor.decode(first, rows, some);
      EXPECT_TRUE(
          std::ranges::equal(some, std::span(all).subspan(first * tensor.columns(), some.size())))
          << name << ", " << rows << " rows from " << first;
    }
    EXPECT_GT(tensor.stored_bytes(), 0u);
    EXPECT_LE(tensor.stored_bytes(), file_->bytes().size());
  }
}

INSTANTIATE_TEST_SUITE_P(Every, LayoutGoldens, testing::ValuesIn(cases()),
                         [](const auto& golden) { return golden.param; });

// What each becomes: codes are kept wherever a grouped format has such groups.
TEST(LayoutFormats, CodesAreKeptWhereTheyCanBe) {
  const std::map<std::string, std::string> expected = {
      {"gptq_2bit", "INT2/32"},
      {"gptq_3bit", "INT3/32"},
      {"gptq_4bit", "INT4/32"},
      {"gptq_8bit", "INT8/32"},
      {"gptq_asymmetric", "UINT4/32"},
      {"gptq_row", "INT4/128"},
      {"gptq_order", "UINT4/32"},
      {"gptq_uneven", "F16"},
      {"gptq_narrow", "F16"},
      {"gptq_dynamic", "INT8/32"},
      {"awq_gemm", "UINT4/64"},
      {"awq_gemv", "UINT4/128"},
      {"bnb_nf4", "NF4/64"},
      {"bnb_nf4_double", "NF4/64"},
      {"bnb_fp4", "FP4/64"},
      {"bnb_nf4_across", "NF4/32"},
      {"bnb_nf4_odd", "F32"},
      {"bnb_int8", "INT8/32"},
      {"hqq_4bit", "UINT4/64"},
      {"hqq_3bit", "UINT3/64"},
      {"hqq_4bit_axis0", "F16"},
      {"ct_pack_4bit", "INT4/32"},
      {"ct_pack_asymmetric", "UINT4/32"},
      {"ct_old_3bit", "INT3/32"},
      {"ct_old_g_idx", "UINT4/32"},
      {"ct_int8", "INT8/32"},
      {"ct_float8_channel", "E4M3/32"},
      {"ct_nvfp4", "E2M1/16"},
      {"ct_mxfp4", "MXFP4"},
      {"ct_sparse24", "BF16"},
      {"ct_sparse24_float8", "E4M3/64"},
      {"fp8_blocks", "E4M3/16"},
      {"fp8_rows", "E4M3/64"},
      {"mxfp4", "MXFP4"},
      {"modelopt_nvfp4", "E2M1/16"},
      {"torchao_int8", "INT8/64"},
      {"torchao_int4", "UINT4/32"},
      {"bitnet_divides", "INT2/64"},
  };
  for (const auto& [name, format] : expected) {
    const MappedFile file(kFolder / (name + ".safetensors"));
    std::ifstream stream(kFolder / (name + ".json"));
    RawTensors tensors;
    safetensors::Metadata metadata;
    for (StoredTensor& tensor : safetensors::parse(file.bytes(), name, &metadata))
      tensors.add(std::move(tensor));
    tensors.add_metadata(metadata);
    apply_layouts(nlohmann::json::parse(stream), nullptr, tensors);
    EXPECT_EQ(tensors.require(tensors.names().at(0)).format->name, format) << name;
  }
}

}  // namespace
}  // namespace tessera::huggingface
