// Formats by the size that a file is to have, by name, and runs that are ended on the way.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "compress/calibration_support.h"
#include "compress/quantize.h"
#include "compress/work_folder.h"
#include "files/open.h"
#include "support/error_of.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class TargetTest : public testing::Test {
 protected:
  QuantizeOptions options(double bits = 0) const {
    return {.target = {.bits_per_weight = bits},
            .overwrite = true,
            .calibration = test::some_text(),
            .calibration_length = 64};
  }
  QuantizeSummary run(const QuantizeOptions& options) {
    return quantize_file(source_, options, out_);
  }
  std::string error(const QuantizeOptions& options) {
    return error_of([&] { run(options); });
  }

  test::TempFolder folder_;
  std::filesystem::path source_ = write_tiny_model(
      {.architecture = "llama", .format = &kF16, .layers = 3, .embedding = 256}, folder_.path());
  std::filesystem::path out_ = folder_ / "out.gguf";
};

TEST_F(TargetTest, TheFileTakesWhatIsAskedFor) {
  double last = 1e9;
  for (const double bits : {3.3, 6.25}) {
    const QuantizeSummary summary = run(options(bits));
    EXPECT_LE(summary.bits_per_weight_after, bits);
    EXPECT_GT(summary.bits_per_weight_after, 0.995 * bits);
    EXPECT_LT(summary.expected_divergence, last);
    last = summary.expected_divergence;
    EXPECT_THAT(describe_totals(summary), HasSubstr("expected KL divergence"));
  }
  EXPECT_GT(last, 0);
}

TEST_F(TargetTest, AMethodMakesGoodForSomeOfWhatRoundingCosts) {
  auto asked = options(3.5);
  const QuantizeSummary nearest = run(asked);
  asked.method = "gptq";
  const QuantizeSummary gptq = run(asked);
  EXPECT_GT(gptq.bits_per_weight_after, 0.995 * 3.5);
  EXPECT_LT(gptq.expected_divergence, nearest.expected_divergence);
}

TEST_F(TargetTest, SizesAreThoseOfTheFile) {
  const uint64_t whole = std::filesystem::file_size(source_);
  auto asked = options();
  asked.target.bytes = whole * 2 / 5;
  run(asked);
  const auto size = static_cast<double>(std::filesystem::file_size(out_));
  EXPECT_LE(size, static_cast<double>(asked.target.bytes));
  EXPECT_GT(size, 0.995 * static_cast<double>(asked.target.bytes));
}

TEST_F(TargetTest, NeitherThreadsNorAFileOfTheFormatsChangeAnything) {
  auto asked = options(4.4);
  asked.threads = 1;
  const QuantizeSummary one = run(asked);
  const std::string bytes = test::read_bytes(out_);
  asked.threads = 3;
  EXPECT_EQ(run(asked).formats, one.formats);
  EXPECT_EQ(test::read_bytes(out_), bytes);

  auto again = options();
  again.tensor_formats = parse_tensor_formats(one.formats, "a file");
  EXPECT_EQ(run(again).formats, one.formats);
  EXPECT_EQ(test::read_bytes(out_), bytes);
}

TEST_F(TargetTest, WhatIsNamedStaysAsItIsNamed) {
  auto asked = options(4.5);
  asked.tensor_formats = parse_tensor_formats("blk.1.*down=q8_0 # remark\nattn_v=q2_k", "a flag");
  const QuantizeSummary summary = run(asked);
  EXPECT_GT(summary.bits_per_weight_after, 0.995 * 4.5);
  const auto file = open_checkpoint(out_);
  EXPECT_EQ(file->require({TensorRole::kDown, 1}).format, &kQ8_0);
  EXPECT_EQ(file->require({TensorRole::kValue, 2}).format, &kQ2_K);
}

TEST_F(TargetTest, WithoutATextErrorsAloneDecide) {
  auto asked = options(4.5);
  asked.calibration.clear();
  const QuantizeSummary summary = run(asked);
  EXPECT_GT(summary.bits_per_weight_after, 0.995 * 4.5);
  EXPECT_EQ(summary.expected_divergence, 0);
}

TEST_F(TargetTest, BadInputIsOneLine) {
  EXPECT_THAT(error(options(1.5)),
              AllOf(HasSubstr("1.50 bits per weight cannot be had"), HasSubstr("between 2.")));
  EXPECT_THAT(error(options(20)), HasSubstr("cannot be had"));
  auto tiny = options();
  tiny.target.bytes = 1000;
  EXPECT_THAT(error(tiny), HasSubstr("cannot be had: the model takes between"));

  const auto parse = [](const char* text) {
    return error_of([&] { parse_tensor_formats(text, "the recipe"); });
  };
  EXPECT_THAT(parse("attn_q"), HasSubstr("the recipe: 'attn_q' is not PATTERN=FORMAT"));
  EXPECT_THAT(parse("attn_q=q9"), HasSubstr("the recipe: 'q9' is no number format"));
  EXPECT_THAT(parse("# a remark\n"), HasSubstr("the recipe: no PATTERN=FORMAT"));
  EXPECT_THAT(parse("attn_q=iq2_xs"), HasSubstr("encoding to IQ2_XS is not supported"));
  EXPECT_THAT(parse("attn_(q=q4_k"), HasSubstr("is no regular expression"));
  auto named = options();
  named.tensor_formats = parse_tensor_formats("attn_norm=q8_0", "a flag");
  EXPECT_THAT(error(named), HasSubstr("'attn_norm=Q8_0' names none of the model's matrices"));
  EXPECT_FALSE(std::filesystem::exists(out_));
}

// --- runs that are ended

struct Ended {};

class WorkTest : public TargetTest {
 protected:
  std::filesystem::path work_ = folder_ / "work";
};

TEST_F(WorkTest, ARunThatWasEndedGoesOnToTheSameBytes) {
  for (const char* method : {"rtn", "gptq"}) {
    auto asked = options();
    asked.method = method;
    asked.format = "Q3_K_M";
    const QuantizeSummary whole = run(asked);
    const std::string bytes = test::read_bytes(out_);
    std::filesystem::remove(out_);

    asked.work = work_;
    // Ended behind one layer, then behind another, then not at all.
    for (const char* last : {"layer-0000.bin", "layer-0001.bin"}) {
      asked.progress = [&](uint64_t, uint64_t) {
        if (std::filesystem::exists(work_ / last)) throw Ended();
      };
      EXPECT_THROW(run(asked), Ended);
      EXPECT_FALSE(std::filesystem::exists(out_));
    }
    asked.progress = {};
    asked.threads = 1;
    const QuantizeSummary resumed = run(asked);
    EXPECT_EQ(test::read_bytes(out_), bytes) << method;
    for (size_t i = 0; i < whole.tensors.size(); ++i) {
      EXPECT_EQ(resumed.tensors[i].relative_error, whole.tensors[i].relative_error);
    }
    EXPECT_FALSE(std::filesystem::exists(work_));  // nothing to go on with
  }
}

TEST_F(WorkTest, WhatWasMeasuredIsKept) {
  auto asked = options(4.5);
  run(asked);
  const std::string bytes = test::read_bytes(out_);
  asked.work = work_;
  asked.progress = [&](uint64_t done, uint64_t total) {
    if (done > total * 3 / 4) throw Ended();
  };
  EXPECT_THROW(run(asked), Ended);
  EXPECT_TRUE(std::filesystem::exists(work_ / "sensitivities.txt"));
  asked.progress = {};
  run(asked);
  EXPECT_EQ(test::read_bytes(out_), bytes);
}

TEST_F(WorkTest, AnotherRunsWorkIsRefused) {
  auto asked = options();
  asked.format = "Q4_0";
  asked.work = work_;
  asked.progress = [](uint64_t done, uint64_t total) {
    if (done > total / 2) throw Ended();
  };
  EXPECT_THROW(run(asked), Ended);
  asked.progress = {};
  auto other = asked;
  other.method = "gptq";
  EXPECT_THAT(error(other), AllOf(HasSubstr("the work of another run"),
                                  HasSubstr("method rtn there, method gptq here")));
  other = asked;
  other.format = "Q5_0";
  EXPECT_THAT(error(other), HasSubstr("format Q4_0 there, format Q5_0 here"));
  other = asked;
  other.calibration +=
      "more words than before, and then some more, until there is another chunk of it";
  EXPECT_THAT(error(other), HasSubstr("text"));

  // Of the right run, but cut off.
  std::filesystem::resize_file(work_ / "layer-0000.bin", 100);
  EXPECT_THAT(error(asked), HasSubstr("layer-0000.bin' is not what was written there"));

  std::filesystem::create_directories(folder_ / "full");
  folder_.write("full/notes.txt", "somebody's");
  asked.work = folder_ / "full";
  EXPECT_THAT(error(asked), HasSubstr("holds other files"));
  asked.work = work_;
  asked.calibration.clear();
  EXPECT_THAT(error(asked), HasSubstr("for runs with a text"));
}

}  // namespace
}  // namespace tessera
