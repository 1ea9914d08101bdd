// Schemas as people write them, with instances: every valid one is accepted, no invalid one is.
// Python's jsonschema has judged the instances, too.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "grammar/grammar_support.h"
#include "paths.h"

namespace tessera {
namespace {

TEST(SchemaSamples, AreJudgedAsTheyAre) {
  std::ifstream file(TESSERA_SOURCE_DIR "/tests/grammar/schema_samples.jsonl");
  ASSERT_TRUE(file);
  size_t schemas = 0;
  for (std::string line; std::getline(file, line); ++schemas) {
    const auto sample = nlohmann::ordered_json::parse(line);
    const auto grammar = compile_json_schema(sample["schema"].dump());
    for (const auto& test : sample["tests"])
      EXPECT_EQ(testing::matches(*grammar, test["data"].dump()), test["valid"].get<bool>())
          << sample["name"] << ' ' << test["data"];
  }
  EXPECT_GE(schemas, 100u);
}

}  // namespace
}  // namespace tessera
