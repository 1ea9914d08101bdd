// What is written in each layout is read again, bit for bit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "files/huggingface/layouts/folder_formats.h"
#include "files/huggingface/layouts/layouts.h"
#include "files/safetensors/dtypes.h"
#include "files/safetensors/parse.h"
#include "paths.h"
#include "support/error_of.h"
#include "support/random_floats.h"

namespace tessera::huggingface {
namespace {

using testing::HasSubstr;

constexpr uint64_t kRows = 64, kColumns = 384;
const std::filesystem::path kGoldens = std::filesystem::path(TESSERA_TEST_DATA) / "layouts";

// A row of zeros, one of tiny numbers, and an outlier among ordinary ones.
std::vector<float> weights() {
  std::vector<float> values = random_floats(kRows * kColumns, 7);
  for (float& value : values) value *= 0.02f;
  for (uint64_t c = 0; c < kColumns; ++c) {
    values[3 * kColumns + c] = 0;
    values[4 * kColumns + c] *= 1e-4f;
  }
  values[5 * kColumns + 77] = 1.5f;
  return values;
}

std::vector<std::byte> encoded(const Format& format, std::span<const float> values,
                               uint64_t columns = kColumns) {
  const uint64_t rows = values.size() / columns;
  const size_t row_bytes = format.row_bytes(columns);
  std::vector<std::byte> bytes(rows * row_bytes);
  write_shared_scales(format, values, columns, bytes.data());
  for (uint64_t row = 0; row < rows; ++row)
    format.encode(values.subspan(row * columns, columns), bytes.data() + row * row_bytes, {});
  return bytes;
}

class LayoutWriters : public testing::TestWithParam<std::string> {
 protected:
  const FolderFormat& folder_ = *find_folder_format(GetParam());
  const std::vector<float> values_ = weights();
};

TEST_P(LayoutWriters, AreReadAgain) {
  const Format& format = folder_.format_of(kColumns);
  const std::vector<std::byte> bytes = encoded(format, values_);
  std::vector<float> expected(values_.size()), found(values_.size());
  format.decode(bytes.data(), expected);

  const auto parts = folder_.writer->parts(kRows, kColumns);
  const auto packed =
      folder_.writer->pack(EncodedMatrix(format, kRows, kColumns, bytes), "float16");
  ASSERT_EQ(packed.size(), parts.size());
  RawTensors tensors;
  for (size_t i = 0; i < parts.size(); ++i) {
    ASSERT_EQ(packed[i].size(), parts[i].bytes()) << parts[i].name;
    StoredTensor tensor;
    tensor.name = "m" + parts[i].name;
    tensor.format = safetensors::format_of_dtype(parts[i].dtype);
    tensor.shape.assign(parts[i].shape.rbegin(), parts[i].shape.rend());
    tensor.bytes = packed[i];
    tensors.add(std::move(tensor));
  }
  const nlohmann::json config = {{"quantization_config", folder_.writer->config("float16")}};
  apply_layouts(config, nullptr, tensors);
  ASSERT_THAT(tensors.names(), testing::ElementsAre("m.weight"));
  const StoredTensor& matrix = tensors.require("m.weight");
  ASSERT_EQ(matrix.shape, (std::vector{kColumns, kRows}));
  EXPECT_EQ(kind_of(*matrix.format) == nullptr, folder_.is_mxfp4) << matrix.format->name;
  matrix.decode(0, kRows, found);
  EXPECT_EQ(found, expected);
}

// Far from what it was would be read again, too. Of the numbers' size, ternary codes by absmean
// lose the most.
TEST_P(LayoutWriters, AreNearTheirSource) {
  const Format& format = folder_.format_of(kColumns);
  std::vector<float> found(values_.size());
  format.decode(encoded(format, values_).data(), found);
  double error = 0, size = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    error += std::pow(static_cast<double>(found[i]) - static_cast<double>(values_[i]), 2);
    size += std::pow(static_cast<double>(values_[i]), 2);
  }
  const bool coarse = folder_.kind.codes == GroupedCodes::kInteger && folder_.kind.bits == 2;
  const bool is_8bit = (folder_.kind.codes == GroupedCodes::kInteger && folder_.kind.bits == 8) ||
                       folder_.kind.codes == GroupedCodes::kE4M3;
  EXPECT_LT(std::sqrt(error / size), coarse ? 0.65 : is_8bit ? 0.03 : 0.25);
}

std::vector<std::string> names() {
  std::vector<std::string> names;
  for (const FolderFormat& format : all_folder_formats()) names.push_back(format.name);
  return names;
}
INSTANTIATE_TEST_SUITE_P(All, LayoutWriters, testing::ValuesIn(names()), [](const auto& instance) {
  std::string name = instance.param;
  std::ranges::replace(name, '-', '_');
  return name;
});

// What a package writes of the same matrix: all its tensors, to the last bit.
class WrittenGoldens : public testing::Test {
 protected:
  // But for the codes in `inexact`, of which that share is the same at least.
  void compare(const std::string& golden, const char* folder_format, const char* inexact = "",
               double least = 1) {
    const MappedFile source_file(kGoldens / (golden + ".source.safetensors"));
    const MappedFile golden_file(kGoldens / (golden + ".safetensors"));
    const StoredTensor source = safetensors::parse(source_file.bytes(), "source").at(0);
    const auto wanted = safetensors::parse(golden_file.bytes(), "golden");
    std::vector<float> values(source.elements());
    source.decode(0, source.rows(), values);

    const FolderFormat& folder = *find_folder_format(folder_format);
    const Format& format = folder.format_of(source.columns());
    const auto bytes = encoded(format, values, source.columns());
    const auto parts = folder.writer->parts(source.rows(), source.columns());
    const auto packed = folder.writer->pack(
        EncodedMatrix(format, source.rows(), source.columns(), bytes), "float32");
    EXPECT_EQ(parts.size(), wanted.size());
    for (size_t i = 0; i < parts.size(); ++i) {
      const auto tensor = std::ranges::find(wanted, "m" + parts[i].name, &StoredTensor::name);
      ASSERT_NE(tensor, wanted.end()) << parts[i].name;
      if (parts[i].name.find("quant_state") != std::string::npos) {
        expect_same_state(packed[i], tensor->bytes);
      } else {
        std::vector<std::byte> expected(tensor->bytes.begin(), tensor->bytes.end());
        const bool is_codes = parts[i].name == ".weight" || parts[i].name == ".weight_packed";
        if (is_codes && folder.kind.codes != GroupedCodes::kNF4) drop_second_zero(expected);
        if (parts[i].name == inexact) {
          EXPECT_GE(same_nibbles(packed[i], expected), least) << golden;
        } else {
          EXPECT_EQ(packed[i], expected) << golden << parts[i].name;
        }
      }
    }
  }

  // The share of those that are the same.
  static double same_nibbles(std::span<const std::byte> a, std::span<const std::byte> b) {
    size_t same = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      same += (a[i] & std::byte{15}) == (b[i] & std::byte{15});
      same += (a[i] >> 4) == (b[i] >> 4);
    }
    return static_cast<double>(same) / static_cast<double>(2 * a.size());
  }

  // Floats of 4 bits have two codes of zero: packages take 8 for small negative numbers, we 0.
  static void drop_second_zero(std::vector<std::byte>& nibbles) {
    for (std::byte& two : nibbles) {
      if ((two & std::byte{15}) == std::byte{8}) two &= std::byte{0xf0};
      if ((two >> 4) == std::byte{8}) two &= std::byte{15};
    }
  }

  // Objects of JSON; the mean of all absmax may differ in its last bit, as sums have their orders.
  static void expect_same_state(std::span<const std::byte> ours,
                                std::span<const std::byte> theirs) {
    const auto json = [](std::span<const std::byte> bytes) {
      return nlohmann::json::parse(
          std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
    };
    nlohmann::json a = json(ours), b = json(theirs);
    if (a.contains("nested_offset")) {
      EXPECT_FLOAT_EQ(a["nested_offset"].get<float>(), b["nested_offset"].get<float>());
      a["nested_offset"] = b["nested_offset"];
    }
    EXPECT_EQ(a, b);
  }
};

TEST_F(WrittenGoldens, OfBitsandbytes) {
  compare("bnb_nf4", "bnb-nf4");
  compare("bnb_fp4", "bnb-fp4");
}

// Codes are those nearest by the absmax that the file holds; bitsandbytes has chosen them by the
// one before it was rounded.
TEST_F(WrittenGoldens, OfBitsandbytesDoublyQuantized) {
  compare("bnb_nf4_double", "bnb-nf4-double", ".weight", 0.975);
}

// compressed-tensors divides bfloat16s by their scales in bfloat16, and misses the nearest code now
// and then.
TEST_F(WrittenGoldens, OfNvfp4) {
  compare("ct_nvfp4", "NVFP4A16", ".weight_packed", 0.94);
}

TEST(FolderFormats, AreKnownByNamesOfTheirOwn) {
  const auto all = names();
  EXPECT_EQ(std::set<std::string>(all.begin(), all.end()).size(), all.size());
  EXPECT_EQ(find_folder_format("GPTQ-4bit-128g")->name, "gptq-4bit-128g");
  EXPECT_EQ(find_folder_format("w4a16")->name, "W4A16");
  EXPECT_EQ(find_folder_format("gptq-5bit-128g"), nullptr);
}

TEST(FolderFormats, RefuseShapesThatTheyCannotHold) {
  const FolderFormat& gptq = *find_folder_format("gptq-4bit-128g");
  EXPECT_THAT(error_of([&] { gptq.format_of(576); }),
              HasSubstr("576 columns, which groups of 128 do not divide (gptq-4bit-128g)"));
  EXPECT_THAT(error_of([&] { gptq.writer->parts(12, 128); }),
              HasSubstr("12 rows, expected a multiple of 8"));
  EXPECT_THAT(error_of([&] { find_folder_format("W8A8")->format_of(48); }),
              HasSubstr("48 columns, expected a multiple of 32"));
}

}  // namespace
}  // namespace tessera::huggingface
