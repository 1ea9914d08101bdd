#include "compress/quantize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "compress/importance.h"
#include "compress/recipes.h"
#include "compress/toy_model.h"
#include "files/gguf/reader.h"
#include "files/gguf/writer.h"
#include "support/error_of.h"
#include "support/safetensors.h"
#include "support/temp_folder.h"

namespace tessera {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::vector<float> decoded(const StoredTensor& tensor) {
  std::vector<float> values(tensor.elements());
  tensor.decode(0, tensor.rows(), values);
  return values;
}

class Quantize : public testing::Test {
 protected:
  void SetUp() override {
    shape_.layers = 2;
    test::ToyModel(shape_, kF16).write(source_);
  }
  QuantizeSummary run(const std::string& format, const std::filesystem::path& out,
                      int threads = 2) {
    QuantizeOptions options;
    options.format = format;
    options.threads = threads;
    options.overwrite = true;
    return quantize_file(source_, options, out);
  }

  test::TempFolder folder_;
  test::ToyShape shape_;
  std::filesystem::path source_ = folder_ / "source.gguf", out_ = folder_ / "out.gguf";
};

TEST_F(Quantize, EveryRecipeWritesWhatItPlannedAndDecodesNearTheSource) {
  const GgufFile source = GgufFile::open(source_);
  for (const Recipe& recipe : all_recipes()) {
    const QuantizeSummary summary = run(std::string(recipe.name), out_);
    const GgufFile result = GgufFile::open(out_);
    EXPECT_EQ(result.metadata().require_int("general.file_type"), recipe.file_type);
    EXPECT_EQ(result.metadata().require_int("general.quantization_version"), 2);
    EXPECT_EQ(result.metadata().require_int("llama.block_count"), 2);
    ASSERT_EQ(result.tensors().size(), source.tensors().size());
    ASSERT_EQ(summary.tensors.size(), source.tensors().size());
    for (size_t t = 0; t < summary.tensors.size(); ++t) {
      const StoredTensor &before = source.tensors()[t], &after = result.tensors()[t];
      const QuantizedTensor& said = summary.tensors[t];
      EXPECT_EQ(after.name, before.name);
      EXPECT_EQ(after.shape, before.shape);
      const bool is_compound = after.source != nullptr;  // read as what its two tensors are
      EXPECT_EQ(is_compound ? "NVFP4" : after.format->name, said.to->name);
      EXPECT_EQ(after.stored_bytes(), said.bytes_after);

      const std::vector<float> x = decoded(before), y = decoded(after);
      double error = 0, norm = 0;
      for (size_t i = 0; i < x.size(); ++i) {
        error += std::pow(static_cast<double>(y[i]) - static_cast<double>(x[i]), 2);
        norm += std::pow(static_cast<double>(x[i]), 2);
      }
      EXPECT_NEAR(said.relative_error, std::sqrt(error / norm), is_compound ? 1e-7 : 1e-9)
          << recipe.name << " " << said.name;
      // Of one magnitude and a sign, uniform weights keep half.
      const double most = said.to == &kQ1_0 ? 0.55 : 0.5;
      EXPECT_LT(said.relative_error, most) << recipe.name << " " << said.name;
    }
  }
}

TEST_F(Quantize, WiderFormatsLoseLess) {
  double last = 1;
  for (const char* format : {"Q2_K", "Q3_K_S", "Q4_K_S", "Q5_K_S", "Q6_K", "Q8_0"}) {
    double error = 0;
    for (const auto& tensor : run(format, out_).tensors) {
      if (tensor.name == "blk.1.ffn_up.weight") error = tensor.relative_error;
    }
    EXPECT_GT(error, 0) << format;
    EXPECT_LT(error, last) << format;
    last = error;
  }
}

TEST_F(Quantize, ToF32AndBackToF16ChangesNoBit) {
  run("F32", folder_ / "f32.gguf");
  const GgufFile wide = GgufFile::open(folder_ / "f32.gguf");
  for (const auto& tensor : wide.tensors()) EXPECT_EQ(tensor.format->name, "F32");
  QuantizeOptions options;
  options.format = "F16";
  quantize_file(folder_ / "f32.gguf", options, out_);
  const GgufFile before = GgufFile::open(source_), after = GgufFile::open(out_);
  for (size_t t = 0; t < before.tensors().size(); ++t) {
    const auto &x = before.tensors()[t].bytes, &y = after.tensors()[t].bytes;
    EXPECT_TRUE(std::equal(x.begin(), x.end(), y.begin(), y.end())) << before.tensors()[t].name;
  }
}

TEST_F(Quantize, AFileThatIsThereStaysUnlessToldOtherwise) {
  QuantizeOptions options;
  for (const char* format : {"F16", "Q4_K_M", "Q8_0"}) {
    options.format = format;
    folder_.write("out.gguf", "somebody's work");
    EXPECT_THAT(error_of([&] { quantize_file(source_, options, out_); }),
                AllOf(HasSubstr("out.gguf' exists"), HasSubstr("--force")));
    EXPECT_EQ(test::read_bytes(out_), "somebody's work");
  }
  options.overwrite = true;
  quantize_file(source_, options, out_);
  EXPECT_EQ(GgufFile::open(out_).tensors().size(), GgufFile::open(source_).tensors().size());
}

TEST_F(Quantize, TheSummarySaysWhichColumnsDidNotFit) {
  EXPECT_EQ(describe_totals(run("Q4_K_M", out_)).find("columns"), std::string::npos);
  for (const uint64_t columns : {96, 576}) {
    shape_.columns = columns;
    test::ToyModel(shape_, kF16).write(source_);
    // 2 layers of 7 matrices, the embedding and the output; Q6_K for these and some of the values.
    EXPECT_THAT(describe_totals(run("Q4_K_S", out_)),
                AllOf(HasSubstr(fmt::format("16 matrices have {} columns", columns)),
                      HasSubstr("no whole blocks of 256"), HasSubstr("Q4_K became Q5_0 ("),
                      HasSubstr("Q5_K became Q5_1 ("), HasSubstr("Q6_K became Q8_0 (1)")));
    EXPECT_EQ(describe_totals(run("Q8_0", out_)).find("columns"), std::string::npos);
    EXPECT_EQ(describe_totals(run("F16", out_)).find("columns"), std::string::npos);
  }
  shape_.columns = 40;
  test::ToyModel(shape_, kF16).write(source_);
  EXPECT_THAT(describe_totals(run("Q8_0", out_)),
              HasSubstr("16 matrices have 40 columns, which are no whole blocks of 32: Q8_0 became "
                        "F16 (16)"));
}

TEST_F(Quantize, QuantizingAgainIsWarnedOf) {
  const auto warning_of = [&](const Format& from, const char* to) {
    test::ToyModel(shape_, from).write(source_);
    testing::internal::CaptureStdout();  // where spdlog writes unless it is told otherwise
    run(to, out_);
    return testing::internal::GetCapturedStdout();
  };
  EXPECT_THAT(warning_of(kQ8_0, "Q4_K_M"), HasSubstr("quantized already (Q8_0)"));
  EXPECT_THAT(warning_of(kQ4_0, "Q8_0"), HasSubstr("quantized already (Q4_0)"));
  EXPECT_EQ(warning_of(kF16, "Q4_K_M"), "");
  EXPECT_EQ(warning_of(kBF16, "Q8_0"), "");
  EXPECT_EQ(warning_of(kQ8_0, "F16"), "");
  EXPECT_EQ(warning_of(kQ8_0, "Q8_0"), "");
}

TEST_F(Quantize, FileIsTheSameForAnyNumberOfThreads) {
  const QuantizeSummary one = run("Q4_K_M", folder_ / "one.gguf", 1);
  const QuantizeSummary seven = run("Q4_K_M", folder_ / "seven.gguf", 7);
  EXPECT_EQ(test::read_bytes(folder_ / "one.gguf"), test::read_bytes(folder_ / "seven.gguf"));
  for (size_t i = 0; i < one.tensors.size(); ++i) {
    EXPECT_EQ(one.tensors[i].relative_error, seven.tensors[i].relative_error);
  }
}

TEST_F(Quantize, SplitSourceGivesTheSameFileAsAWholeOne) {
  test::ToyModel(shape_, kF16).write_split(folder_ / "split", 5);
  QuantizeOptions options;
  options.format = "Q5_1";
  quantize_file(folder_ / "split-00002-of-00005.gguf", options, folder_ / "a.gguf");
  quantize_file(source_, options, folder_ / "b.gguf");
  EXPECT_EQ(test::read_bytes(folder_ / "a.gguf"), test::read_bytes(folder_ / "b.gguf"));
}

TEST_F(Quantize, SummaryAddsUp) {
  const QuantizeSummary summary = run("Q8_0", out_);
  uint64_t before = 0, after = 0, elements = 0;
  for (const auto& tensor : summary.tensors) {
    before += tensor.bytes_before;
    after += tensor.bytes_after;
    elements += tensor.elements;
  }
  EXPECT_EQ(summary.bytes_before, before);
  EXPECT_EQ(summary.bytes_after, after);
  EXPECT_DOUBLE_EQ(summary.bits_per_weight_after,
                   8.0 * static_cast<double>(after) / static_cast<double>(elements));
  EXPECT_THAT(describe(summary), AllOf(HasSubstr("F16 -> Q8_0"), HasSubstr("bits per weight")));
}

TEST_F(Quantize, ProgressEndsWithAllBytes) {
  QuantizeOptions options;
  options.format = "Q8_0";
  uint64_t last = 0, total = 0;
  options.progress = [&](uint64_t done, uint64_t all) {
    EXPECT_GE(done, last);
    last = done;
    total = all;
  };
  quantize_file(source_, options, out_);
  EXPECT_EQ(last, total);
  EXPECT_GT(total, 0U);
}

TEST_F(Quantize, RefusesToOverwriteItsSource) {
  const std::string bytes = test::read_bytes(source_);
  EXPECT_THAT(error_of([&] { run("Q8_0", source_); }), HasSubstr("is the source itself"));
  std::filesystem::create_symlink(source_, folder_ / "link.gguf");
  EXPECT_THAT(error_of([&] { run("Q8_0", folder_ / "link.gguf"); }),
              HasSubstr("is the source itself"));
  EXPECT_EQ(test::read_bytes(source_), bytes);
}

// Before anything is written: nobody waits an hour for a file that nothing can run.
TEST_F(Quantize, AConfigurationThatLoadingRefusesIsRefused) {
  const auto error_with = [&](std::string_view key, GgufValue value) {
    test::ToyModel model(shape_, kF16);
    model.metadata.set(std::string(key), std::move(value));
    model.write(source_);
    return error_of([&] { run("Q8_0", out_); });
  };
  EXPECT_EQ(error_with("llama.attention.head_count_kv", {uint32_t{3}}),
            "4 query heads cannot share 3 key-value heads");
  EXPECT_EQ(error_with("llama.nextn_predict_layers", {uint32_t{1}}),
            "key 'llama.nextn_predict_layers': not supported in models of 'llama'");
  EXPECT_FALSE(std::filesystem::exists(out_));
  // What is not known here cannot be judged.
  EXPECT_EQ(error_with("general.architecture", {std::string("made-up")}), "(no error)");
}

TEST_F(Quantize, UnknownFormatListsTheKnownOnes) {
  EXPECT_THAT(error_of([&] { run("Q7_X", out_); }), AllOf(HasSubstr("Q7_X"), HasSubstr("Q4_K_M")));
  EXPECT_FALSE(std::filesystem::exists(out_));
}

TEST_F(Quantize, SourceThatCannotBeDecodedIsNamed) {
  const Format* unsupported = find_format("Q8_K");
  ASSERT_FALSE(unsupported->supported());
  GgufWriter writer{GgufMetadata{}};
  writer.declare("blk.0.attn_q.weight", *unsupported, {256, 1});
  writer.write(source_, [&](size_t) { return std::vector<std::byte>(unsupported->block_bytes); });
  EXPECT_THAT(error_of([&] { run("Q8_0", out_); }),
              AllOf(HasSubstr("blk.0.attn_q.weight"), HasSubstr("Q8_K")));
  EXPECT_FALSE(std::filesystem::exists(out_));
}

TEST_F(Quantize, FormatThatIsOnlyReadIsNamed) {
  EXPECT_THAT(error_of([&] { run("IQ2_XS", out_); }), HasSubstr("encoding to IQ2_XS"));
  EXPECT_FALSE(std::filesystem::exists(out_));
}

// A vector is copied, and still spoils the model.
TEST_F(Quantize, NanInTheSourceIsNamedAndLeavesNoFile) {
  const std::pair<const char*, std::vector<uint64_t>> tensors[] = {
      {"blk.0.attn_q.weight", {32, 3}}, {"blk.0.attn_norm.weight", {96}}};
  for (const auto& [name, shape] : tensors) {
    GgufWriter writer{GgufMetadata{}};
    writer.declare(name, kF32, shape);
    writer.write(source_, [&](size_t) {
      std::vector<std::byte> bytes(32 * 3 * 4);
      const float nan = std::numeric_limits<float>::quiet_NaN();
      std::memcpy(bytes.data() + 70 * 4, &nan, 4);
      return bytes;
    });
    EXPECT_THAT(
        error_of([&] { run("Q4_0", out_); }),
        AllOf(HasSubstr(name), HasSubstr("nan"), HasSubstr(shape.size() > 1 ? "row 2" : "row 0")));
    EXPECT_FALSE(std::filesystem::exists(out_));
  }
}

TEST_F(Quantize, AnEmptyFolderIsNoModelThatIsThere) {
  const auto error = [&] {
    return error_of([&] { quantize_file(source_, {.format = "F16"}, out_); });
  };
  std::filesystem::create_directories(out_);
  EXPECT_THAT(error(), Not(HasSubstr("exists")));
  std::filesystem::create_directories(out_ / "inside");
  EXPECT_THAT(error(), HasSubstr("exists"));
}

TEST_F(Quantize, IntegerTensorsAreCopied) {
  const Format* integers = find_format("I32");
  ASSERT_NE(integers, nullptr);
  GgufWriter writer{GgufMetadata{}};
  writer.declare("token_map", *integers, {3, 2});
  writer.write(source_, [&](size_t) { return std::vector<std::byte>(24, std::byte{7}); });
  run("Q4_0", out_);
  const GgufFile result = GgufFile::open(out_);
  EXPECT_EQ(result.require_tensor("token_map").format->name, "I32");
  EXPECT_EQ(result.require_tensor("token_map").bytes[23], std::byte{7});
}

TEST_F(Quantize, MagnitudesNeedNoText) {
  for (const char* format : {"F16", "Q8_0"}) {  // where the format stays, too
    quantize_file(source_,
                  {.format = format, .overwrite = true, .method = "magnitude", .sparsity = "2:4"},
                  out_);
    const GgufFile source = GgufFile::open(source_), written = GgufFile::open(out_);
    const std::vector<float> before = decoded(source.require_tensor("blk.1.ffn_up.weight")),
                             after = decoded(written.require_tensor("blk.1.ffn_up.weight"));
    for (size_t first = 0; first < after.size(); first += 4) {
      float least = 1, most = 0;  // of what stays, and of what goes
      for (size_t i = first; i < first + 4; ++i) {
        float& bound = after[i] == 0 ? most : least;
        bound = after[i] == 0 ? std::max(bound, std::fabs(before[i]))
                              : std::min(bound, std::fabs(before[i]));
      }
      ASSERT_EQ(std::count(after.begin() + static_cast<ptrdiff_t>(first),
                           after.begin() + static_cast<ptrdiff_t>(first) + 4, 0.0f),
                2);
      ASSERT_LE(most, least);
    }
    const auto embedding = decoded(written.require_tensor("token_embd.weight"));
    EXPECT_LT(std::ranges::count(embedding, 0.0f), embedding.size() / 10);
  }
}

// Each expert has seen rows of its own, or none.
TEST_F(Quantize, ExpertsAreRoundedByWhatEachHasSeen) {
  shape_.experts = 4;
  test::ToyModel(shape_, kF16).write(source_);
  const GgufFile source = GgufFile::open(source_);
  const std::string name = "blk.1.ffn_up_exps.weight";
  const StoredTensor& tensor = source.require_tensor(name);
  const uint64_t n = tensor.columns(), experts = 4, rows = tensor.rows() / experts;
  Imatrix::Entry entry{.sums = {}, .counts = {100, 0, 50, kFewestRows - 1}};
  for (uint64_t i = 0; i < n * experts; ++i) entry.sums.push_back(static_cast<float>(1 + i % 7));
  Imatrix imatrix;
  imatrix.entries[name] = entry;
  write_imatrix(imatrix, folder_ / "some.gguf");

  testing::internal::CaptureStdout();  // where spdlog writes unless it is told otherwise
  quantize_file(source_, {.format = "Q4_0", .imatrix = (folder_ / "some.gguf").string()}, out_);
  EXPECT_THAT(
      testing::internal::GetCapturedStdout(),
      AllOf(HasSubstr("knows 1 of 14 matrices; 'blk.0.attn_q.weight' and 12 more are"),
            HasSubstr("2 of 4 experts' matrices saw fewer than 8 tokens"), HasSubstr(name)));
  const GgufFile written = GgufFile::open(out_);
  const StoredTensor& found = written.require_tensor(name);
  ASSERT_EQ(found.format, &kQ4_0);
  const std::vector<float> values = decoded(tensor);
  for (uint64_t e = 0; e < experts; ++e) {
    std::vector<float> importance;
    if (entry.counts[e] >= kFewestRows) importance = entry.means(e);
    for (uint64_t r = e * rows; r < (e + 1) * rows; ++r) {
      std::vector<std::byte> expected(kQ4_0.row_bytes(n));
      kQ4_0.encode(std::span(values).subspan(r * n, n), expected.data(), importance);
      EXPECT_TRUE(
          std::ranges::equal(expected, found.bytes.subspan(r * expected.size(), expected.size())))
          << "row " << r;
    }
  }
}

// What is published in safetensors becomes a GGUF, under its names.
TEST_F(Quantize, MedusaHeadsBecomeAGguf) {
  const std::vector<float> block(64 * 64, 0.5F), bias(64, 2), output(96 * 64, -1);
  const auto heads =
      folder_.write("heads.safetensors",
                    test::safetensors_of({test::float_tensor("0.0.linear.weight", {64, 64}, block),
                                          test::float_tensor("0.0.linear.bias", {64}, bias),
                                          test::float_tensor("0.1.weight", {96, 64}, output)}));
  QuantizeOptions options;
  options.format = "Q8_0";
  quantize_file(heads, options, out_);
  const GgufFile written = GgufFile::open(out_);
  EXPECT_EQ(written.facts().require_string("general.architecture"), "medusa");
  EXPECT_EQ(written.facts().require_int("heads"), 1);
  EXPECT_EQ(written.require_tensor("blk.0.medusa.weight").format, &kQ8_0);
  EXPECT_EQ(decoded(written.require_tensor("blk.0.medusa.bias")), bias);
  EXPECT_EQ(written.require_tensor("blk.0.medusa_output.weight").rows(), 96u);
  EXPECT_EQ(written.find({TensorRole::kMedusaOutput, 0}),
            &written.require_tensor("blk.0.medusa_output.weight"));
}

}  // namespace
}  // namespace tessera
