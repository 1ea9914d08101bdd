// The model agrees with the double-precision oracle: for every architecture, every kind of RoPE
// scaling and every number format. The oracle decodes the same weights, so what is left is
// rounding: of keys and values to f16, and, with quantized weights, of activations to int8.
#include "support/oracle.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <ostream>
#include <string>
#include <vector>

#include "files/gguf/reader.h"
#include "support/model_runner.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

struct Divergence {
  double mean = 0, worst = 0;  // over positions, in nats
};

// 100 tokens reach past a block of the KV cache, gemma's windows and the original context of YaRN
// and LongRoPE. They run in two chunks, since that is how prompts run.
Divergence measure(const TinyModelSpec& spec, int context = 0) {
  const test::TempFolder folder;
  const std::filesystem::path path = write_tiny_model(spec, folder.path());
  const std::vector<Token> tokens = random_tokens(100, with_defaults(spec).vocabulary, 11);
  const auto reference = oracle_logits(GgufFile::open(path), tokens, context);

  ModelRunner runner(path, {.context = context});
  const std::vector<int32_t> table = runner.new_table(100);
  std::vector<LogitRow> logits = runner.run_chain(std::span(tokens).first(70), 0, table);
  const std::vector<LogitRow> rest = runner.run_chain(std::span(tokens).subspan(70), 70, table);
  logits.insert(logits.end(), rest.begin(), rest.end());

  Divergence divergence;
  for (size_t t = 0; t < tokens.size(); ++t) {
    const double kl = kl_divergence(reference[t], logits[t]);
    divergence.mean += kl / static_cast<double>(tokens.size());
    divergence.worst = std::max(divergence.worst, kl);
    if (!(kl >= -1e-12)) divergence.worst = 1e9;  // NaN
  }
  ::testing::Test::RecordProperty("mean_kl", fmt::format("{:.2e}", divergence.mean));
  ::testing::Test::RecordProperty("worst_kl", fmt::format("{:.2e}", divergence.worst));
  return divergence;
}

// ---- unquantized weights: the semantics

struct Semantics {
  std::string name;
  TinyModelSpec spec;
  int context = 0;
};

void PrintTo(const Semantics& semantics, std::ostream* out) {
  *out << semantics.name;
}

class EveryArchitecture : public ::testing::TestWithParam<Semantics> {};

TEST_P(EveryArchitecture, AgreesWithTheOracle) {
  const Divergence kl = measure(GetParam().spec, GetParam().context);
  // What is left is storing keys and values as f16. It costs llama.cpp as much: 5e-6 at its worst
  // position of the tied model, and 3e-12 with f32 keys and values.
  EXPECT_LE(kl.mean, 1e-6);
  EXPECT_LE(kl.worst, 1e-5);
}

std::vector<Semantics> semantics() {
  std::vector<Semantics> all;
  for (const char* name :
       {"llama", "qwen2",    "qwen2moe", "qwen3",   "qwen3moe", "gemma2", "gemma3", "phi3",
        "gemma", "smollm3",  "olmo2",    "granite", "exaone4",  "gpt2",   "opt",    "gptneox",
        "phi2",  "stablelm", "cohere2",  "bloom",   "mpt",      "olmoe",  "llama4"}) {
    all.push_back({name, {.architecture = name}});
  }
  all.push_back(
      {"mistral3_yarn", {.architecture = "mistral3", .context = 128, .rope_scaling = "yarn"}});
  all.push_back({"olmo2_yarn", {.architecture = "olmo2", .rope_scaling = "yarn"}});
  all.push_back({"exaone4_no_window", {.architecture = "exaone4", .window = -1}});
  all.push_back({"bloom_6_heads", {.architecture = "bloom", .embedding = 96, .heads = 6}});
  all.push_back({"mixtral", {.experts = 4}});
  all.push_back({"gemma4", {.architecture = "gemma4"}});
  all.push_back({"gemma4_experts", {.architecture = "gemma4", .experts = 6}});
  all.push_back({"gpt_oss", {.architecture = "gpt-oss", .rope_scaling = "yarn"}});
  for (const char* name : {"llama", "qwen2", "qwen3", "gemma3", "phi3"}) {
    for (const char* scaling : {"linear", "yarn"}) {
      all.push_back(
          {std::string(name) + "_" + scaling, {.architecture = name, .rope_scaling = scaling}});
    }
  }
  all.push_back({"llama3_rope", {.rope_scaling = "llama3"}});
  all.push_back(
      {"phi3_long", {.architecture = "phi3", .context = 1024, .rope_scaling = "longrope"}, 257});
  all.push_back(
      {"phi3_short", {.architecture = "phi3", .context = 1024, .rope_scaling = "longrope"}, 256});
  all.push_back({"phi3_partial_rotation", {.architecture = "phi3", .rope_dimensions = 12}});
  all.push_back({"phi3_window", {.architecture = "phi3", .window = 17}});
  all.push_back({"llama_window", {.window = 33}});
  all.push_back({"llama_tied", {.tied = true}});
  all.push_back({"llama_output_bias", {.attention_output_bias = true}});
  all.push_back({"llama_uneven_layers", {.layers = 3, .uneven_layers = true}});
  all.push_back(
      {"phi3_uneven_layers", {.architecture = "phi3", .layers = 3, .uneven_layers = true}});
  for (const char* name : {"llama", "qwen3", "gemma3", "phi3"}) {
    all.push_back({std::string(name) + "_uneven_kv_heads",
                   {.architecture = name, .layers = 3, .uneven_kv_heads = true}});
    all.push_back({std::string(name) + "_uneven_head_lengths",
                   {.architecture = name, .layers = 3, .uneven_head_dims = true}});
  }
  all.push_back({"gemma3_all_uneven",
                 {.architecture = "gemma3",
                  .rope_scaling = "yarn",
                  .uneven_layers = true,
                  .uneven_kv_heads = true,
                  .uneven_head_dims = true}});
  all.push_back({"llama_multi_query", {.kv_heads = 1}});
  all.push_back({"llama_no_grouping", {.kv_heads = 4}});
  all.push_back({"gemma3_no_window", {.architecture = "gemma3", .window = -1}});
  return all;
}

INSTANTIATE_TEST_SUITE_P(Oracle, EveryArchitecture, ::testing::ValuesIn(semantics()),
                         [](const auto& instance) { return instance.param.name; });

// ---- quantized weights

struct Quantized {
  std::string architecture;
  std::string format;
};

void PrintTo(const Quantized& model, std::ostream* out) {
  *out << model.architecture << " " << model.format;
}

class EveryFormat : public ::testing::TestWithParam<Quantized> {};

TEST_P(EveryFormat, AgreesWithTheOracle) {
  const Format& format = *find_format(GetParam().format);
  // All experts work on every row: rounding may choose another one where two scores nearly tie.
  const int experts = GetParam().architecture == "qwen3moe" ? 4 : 0;
  const Divergence kl = measure({.architecture = GetParam().architecture,
                                 .format = &format,
                                 .experts = experts,
                                 .experts_used = experts});
  if (format.block_elements == 1) {  // activations stay f32
    EXPECT_LE(kl.mean, 1e-6);
    EXPECT_LE(kl.worst, 1e-5);
    return;
  }
  // Single positions reach 6e-3 over 40 seeds of the deepest model (gemma3, 7 layers) through int8
  // activations alone: the same decoded weights stored as F32 stay below 2e-6.
  EXPECT_LE(kl.mean, 1e-3);
  EXPECT_LE(kl.worst, 1e-2);
}

std::vector<Quantized> quantized() {
  std::vector<Quantized> all;
  for (const Format* known : all_formats()) {
    const Format& format = *known;
    if (format.supported() && format.encode != nullptr)
      all.push_back({"llama", std::string(format.name)});
  }
  for (const char* architecture : {"qwen2", "qwen3", "qwen3moe", "gemma2", "gemma3", "phi3"}) {
    for (const char* format : {"F16", "Q4_0", "Q8_0", "Q4_K", "Q6_K"})
      all.push_back({architecture, format});
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Oracle, EveryFormat, ::testing::ValuesIn(quantized()),
                         [](const auto& instance) {
                           return instance.param.architecture + "_" + instance.param.format;
                         });

// ---- the judge itself

TEST(OracleTest, APositionDependsOnWhatComesBeforeItOnly) {
  const test::TempFolder folder;
  const GgufFile file = GgufFile::open(write_tiny_model({.architecture = "gemma3"}, folder.path()));
  std::vector<Token> tokens = random_tokens(12, 300, 1);
  const auto before = oracle_logits(file, tokens);
  tokens[8] ^= 1;
  const auto after = oracle_logits(file, tokens);
  for (size_t t = 0; t < 8; ++t) EXPECT_EQ(before[t], after[t]);
  for (size_t t = 8; t < 12; ++t) EXPECT_NE(before[t], after[t]);
}

TEST(OracleTest, DivergenceIsZeroForTheSameDistributionAndKnownForAnother) {
  const std::vector<double> even = {2.0, 2.0};
  EXPECT_NEAR(kl_divergence(even, std::vector<float>{-5.0f, -5.0f}), 0.0, 1e-15);
  // P = (1/2, 1/2), Q = (3/4, 1/4): ln(2/3)/2 + ln(2)/2
  EXPECT_NEAR(kl_divergence(even, std::vector<float>{std::log(3.0f), 0.0f}),
              0.5 * std::log(4.0 / 3.0), 1e-7);
}

TEST(TinyModelTest, TheSameSpecGivesTheSameBytes) {
  const test::TempFolder a, b;
  EXPECT_EQ(test::read_bytes(write_tiny_model({.seed = 5}, a.path())),
            test::read_bytes(write_tiny_model({.seed = 5}, b.path())));
  EXPECT_NE(test::read_bytes(write_tiny_model({.seed = 5}, a.path())),
            test::read_bytes(write_tiny_model({.seed = 6}, a.path())));
}

}  // namespace
}  // namespace tessera
