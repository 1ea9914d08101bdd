// Adapters as PEFT saved them change tiny models as PEFT does. tests/tools/make_lora_goldens.py
// made them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "files/open.h"
#include "files/open_adapter.h"
#include "paths.h"
#include "support/model_runner.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class LoraGoldenTest : public testing::TestWithParam<std::string> {};

TEST_P(LoraGoldenTest, AnswersAsPeftDoes) {
  const fs::path data(TESSERA_TEST_DATA), adapter = data / "lora" / GetParam();
  const json answer = json::parse(std::ifstream(adapter / "answer.json"));
  const auto tokens = answer["tokens"].get<std::vector<Token>>();
  const std::shared_ptr<const Checkpoint> base = open_checkpoint(data / "folders" / GetParam());
  ModelRunner runner(base, {});
  const int number = runner.model().add_adapter(open_adapter(adapter, *base));
  for (const auto& [key, scale] : {std::pair("logits", 1.0f), std::pair("half", 0.5f)}) {
    const AdapterMix mix = {{number, scale}};
    const auto table = runner.new_table(static_cast<int>(tokens.size()));
    Batch batch;
    batch.add_chain(tokens, 0, table, &mix);
    const std::vector<LogitRow> rows = runner.run(batch);
    for (size_t i = 0; i < answer["places"].size(); ++i) {
      const auto expected = answer[key][i].get<std::vector<float>>();
      const LogitRow& found = rows[answer["places"][i].get<size_t>()];
      ASSERT_EQ(found.size(), expected.size());
      double most = 0;
      for (const float logit : expected)
        most = std::max(most, std::abs(static_cast<double>(logit)));
      // What keys and values lose as f16 may round the other way there.
      for (size_t t = 0; t < expected.size(); ++t)
        EXPECT_NEAR(found[t], expected[t], 1e-3 * most) << key << " " << i << " " << t;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, LoraGoldenTest,
                         testing::Values("llama", "llama-biased", "qwen2", "qwen3", "gemma2",
                                         "gemma3", "phi3"),
                         [](const auto& kind) {
                           std::string name = kind.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace tessera
