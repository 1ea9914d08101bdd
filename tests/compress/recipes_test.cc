#include "compress/recipes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/error.h"
#include "compress/toy_model.h"
#include "files/gguf/reader.h"
#include "support/temp_folder.h"

namespace tessera {
namespace {

using ::testing::HasSubstr;

class Recipes : public testing::Test {
 protected:
  // From tensor name to the name of the planned format.
  std::map<std::string, std::string> plan(const test::ToyShape& shape, const char* recipe,
                                          bool pure = false) {
    test::ToyModel(shape, kF16).write(folder_ / "toy.gguf");
    const GgufFile file = GgufFile::open(folder_ / "toy.gguf");
    const auto formats = plan_formats(file, require_recipe(recipe), pure);
    std::map<std::string, std::string> out;
    for (size_t i = 0; i < formats.size(); ++i)
      out[file.tensors()[i].name] = formats[i].format->name;
    return out;
  }
  // The layers whose tensor `name` has `format`.
  static std::set<int> layers(const std::map<std::string, std::string>& plan,
                              const std::string& name, const std::string& format) {
    std::set<int> out;
    for (int layer = 0; plan.contains(block(layer, name)); ++layer) {
      if (plan.at(block(layer, name)) == format) out.insert(layer);
    }
    return out;
  }
  static std::string block(int layer, const std::string& name) {
    return "blk." + std::to_string(layer) + "." + name + ".weight";
  }

  test::TempFolder folder_;
};

TEST_F(Recipes, Q4_K_M_SpendsSixBitsWhereTheyCount) {
  const auto formats = plan({}, "Q4_K_M");
  EXPECT_EQ(formats.at("output.weight"), "Q6_K");
  EXPECT_EQ(formats.at("token_embd.weight"), "Q4_K");
  // The first and the last eighth of 16 layers, and every third from the fourth on.
  const std::set<int> more = {0, 1, 4, 7, 10, 13, 14, 15};
  EXPECT_EQ(layers(formats, "ffn_down", "Q6_K"), more);
  EXPECT_EQ(layers(formats, "attn_v", "Q6_K"), more);
  EXPECT_EQ(layers(formats, "ffn_down", "Q4_K").size(), 8U);
  EXPECT_EQ(layers(formats, "attn_q", "Q4_K").size(), 16U);
  EXPECT_EQ(layers(formats, "attn_output", "Q4_K").size(), 16U);
  EXPECT_EQ(layers(formats, "attn_norm", "F32").size(), 16U);
  EXPECT_EQ(formats.at("output_norm.weight"), "F32");
}

TEST_F(Recipes, EmbeddingThatIsTheOutputTooIsTreatedAsOutput) {
  test::ToyShape tied;
  tied.output = false;
  EXPECT_EQ(plan(tied, "Q4_K_M").at("token_embd.weight"), "Q6_K");
  EXPECT_EQ(plan(tied, "Q8_0").at("token_embd.weight"), "Q8_0");
  EXPECT_EQ(plan(tied, "Q4_0").at("token_embd.weight"), "Q6_K");
  EXPECT_EQ(plan(tied, "F16").at("token_embd.weight"), "F16");
}

TEST_F(Recipes, SmallAndLargeMixturesOfThreeToFiveBits) {
  auto formats = plan({}, "Q3_K_M");
  EXPECT_EQ(layers(formats, "attn_v", "Q5_K"), (std::set<int>{0, 1}));
  EXPECT_EQ(layers(formats, "attn_v", "Q4_K").size(), 14U);
  EXPECT_EQ(layers(formats, "ffn_down", "Q5_K"), (std::set<int>{0}));
  EXPECT_EQ(layers(formats, "attn_output", "Q4_K").size(), 16U);
  EXPECT_EQ(layers(formats, "ffn_up", "Q3_K").size(), 16U);

  formats = plan({}, "Q3_K_L");
  for (const char* name : {"attn_v", "ffn_down", "attn_output"}) {
    EXPECT_EQ(layers(formats, name, "Q5_K").size(), 16U) << name;
  }
  formats = plan({}, "Q4_K_S");
  EXPECT_EQ(layers(formats, "attn_v", "Q5_K"), (std::set<int>{0, 1, 2, 3}));
  EXPECT_EQ(layers(formats, "ffn_down", "Q5_K"), (std::set<int>{0, 1}));

  formats = plan({}, "Q2_K");
  EXPECT_EQ(layers(formats, "attn_v", "Q3_K").size(), 16U);
  EXPECT_EQ(layers(formats, "ffn_down", "Q3_K").size(), 16U);
  EXPECT_EQ(layers(formats, "attn_q", "Q2_K").size(), 16U);
}

TEST_F(Recipes, GroupedQueriesGiveTheirSmallValueMatrixMoreBits) {
  test::ToyShape grouped;
  grouped.kv_heads = 1;
  EXPECT_EQ(layers(plan(grouped, "Q2_K"), "attn_v", "Q4_K").size(), 16U);
  EXPECT_EQ(layers(plan(grouped, "IQ4_XS"), "attn_v", "Q5_K").size(), 16U);
}

TEST_F(Recipes, EightExpertsKeepAttentionAtEightBitsAndTheRouterAsItIs) {
  test::ToyShape mixture;
  mixture.experts = 8;
  const auto formats = plan(mixture, "Q4_K_M");
  EXPECT_EQ(layers(formats, "attn_v", "Q8_0").size(), 16U);
  EXPECT_EQ(layers(formats, "attn_k", "Q8_0").size(), 16U);
  EXPECT_EQ(layers(formats, "attn_output", "Q5_K").size(), 16U);
  EXPECT_EQ(layers(formats, "ffn_gate_inp", "F16").size(), 16U);
  EXPECT_EQ(layers(formats, "ffn_down_exps", "Q6_K"), (std::set<int>{0, 1, 4, 7, 10, 13, 14, 15}));

  const auto mxfp4 = plan(mixture, "MXFP4_MOE");
  EXPECT_EQ(layers(mxfp4, "ffn_up_exps", "MXFP4").size(), 16U);
  EXPECT_EQ(layers(mxfp4, "attn_q", "Q8_0").size(), 16U);
}

TEST_F(Recipes, ColumnsThatDoNotFitGetARelatedFormat) {
  test::ToyShape narrow;
  narrow.columns = 96;
  const std::map<std::string, std::string> expected = {
      {"Q2_K", "IQ4_NL"}, {"Q3_K_S", "IQ4_NL"}, {"IQ4_XS", "IQ4_NL"}, {"Q4_K_S", "Q5_0"},
      {"Q5_K_S", "Q5_1"}, {"Q6_K", "Q8_0"},     {"Q4_0", "Q4_0"},     {"TQ1_0", "Q4_0"},
      {"TQ2_0", "Q4_0"},  {"Q2_0", "Q4_0"},     {"NVFP4", "MXFP4"},
  };
  for (const auto& [recipe, format] : expected) {
    EXPECT_EQ(plan(narrow, recipe.c_str()).at("blk.5.attn_q.weight"), format) << recipe;
  }
  EXPECT_EQ(plan(narrow, "Q4_K_M").at("output.weight"), "Q8_0");
  narrow.columns = 33;
  EXPECT_EQ(plan(narrow, "Q4_K_M").at("blk.5.attn_q.weight"), "F16");
  EXPECT_EQ(plan(narrow, "Q8_0").at("output.weight"), "F16");
}

TEST_F(Recipes, TernaryModelsKeepTheEmbeddingAtFourBits) {
  for (const char* name : {"TQ1_0", "TQ2_0", "Q2_0"}) {
    const auto formats = plan({}, name);
    EXPECT_EQ(formats.at("token_embd.weight"), "Q4_K") << name;
    EXPECT_EQ(formats.at("output.weight"), "Q6_K") << name;
    EXPECT_EQ(layers(formats, "ffn_down", name).size(), 16U) << name;
  }
  EXPECT_EQ(plan({}, "Q1_0").at("token_embd.weight"), "Q1_0");
}

TEST_F(Recipes, PureMeansOneFormat) {
  for (const auto& [name, format] : plan({}, "Q4_K_M", true)) {
    EXPECT_EQ(format, name.find("norm") == std::string::npos ? "Q4_K" : "F32") << name;
  }
}

TEST_F(Recipes, NamesAreMatchedWithoutCaseAndUnknownOnesListTheKnown) {
  EXPECT_EQ(require_recipe("q4_k_m").name, "Q4_K_M");
  EXPECT_EQ(require_recipe("Q5_K").name, "Q5_K_M");
  try {
    require_recipe("Q9\n");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(),
                testing::AllOf(HasSubstr("'Q9\\n'"), HasSubstr("Q4_K_M"), HasSubstr("IQ4_XS")));
  }
}

TEST_F(Recipes, EveryRecipePlansEncodableFormats) {
  test::ToyModel({}, kF32).write(folder_ / "toy.gguf");
  const GgufFile file = GgufFile::open(folder_ / "toy.gguf");
  std::set<std::string_view> names;
  for (const Recipe& recipe : all_recipes()) {
    EXPECT_TRUE(names.insert(recipe.name).second) << recipe.name;
    for (const PlannedFormat& planned : plan_formats(file, recipe, false))
      EXPECT_NE(planned.format->encode, nullptr) << recipe.name;
  }
}

}  // namespace
}  // namespace tessera
