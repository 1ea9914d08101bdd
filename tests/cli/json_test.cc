// What programs read of each command: one line of JSON, or a pretty one for people.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cli/program.h"

namespace tessera {
namespace {

using nlohmann::json;
using test::Outcome;
using test::read_bytes;

class JsonTest : public test::ProgramTest {
 protected:
  std::string text_ =
      folder_.write("text", "the sky and the sea " + std::string(900, 'x')).string();
  // Arguments of `bench` that compare decoders.
  std::string decoders_ = " --decoders lookup --max-tokens 4 --prompts " +
                          folder_.write("prompts", R"({"prompt": "one"})").string();
};

TEST_F(JsonTest, IsOneLineUnlessItIsToBePretty) {
  const std::string bench = "bench " + model_ + " -p 4 -n 2 -r 1 --ctx 64";
  struct Case {
    std::string arguments;
    bool is_measured = false;
  };
  for (const auto& [arguments, is_measured] : std::vector<Case>{
           {"run " + model_ + " hello -n 3 --temp 0", true},
           {"tokenize " + model_ + " 'a caf\u00E9'"},
           {"logits " + model_ + " -p 'caf\u00E9 \u65E5' --all --top 300"},
           {"eval perplexity " + model_ + " " + text_ + " --ctx 64"},
           {"eval kl " + model_ + " " + model_ + " " + text_ + " --ctx 64"},
           {"eval compare " + model_ + " " + model_ + " --text " + text_ + " -c 64 -n 0"},
           {"inspect " + model_},
           {"show " + model_},
           {"list"},
           {"quantize " + model_ + " --format Q8_0 --force -o " + (folder_ / "q").string()},
           {bench, true},
           {bench + " --roofline -b 2", true},
           {"bench " + model_ + decoders_, true}}) {
    const Outcome compact = run(arguments + " --json");
    ASSERT_EQ(compact.status, 0) << arguments << compact.err;
    EXPECT_EQ(std::ranges::count(compact.out, '\n'), 1) << arguments;
    const json value = json::parse(compact.out);
    const Outcome pretty = run(arguments + " --pretty");
    ASSERT_EQ(pretty.status, 0) << arguments << pretty.err;
    EXPECT_GT(std::ranges::count(pretty.out, '\n'), 2) << arguments;
    if (is_measured) continue;
    EXPECT_EQ(json::parse(pretty.out), value) << arguments;
    EXPECT_EQ(run(arguments + " --json --pretty").out, pretty.out) << arguments;
  }
}

// Names of all members, but for those that are names of formats.
void collect_fields(const json& value, std::set<std::string>& fields) {
  if (!value.is_structured()) return;
  for (const auto& [name, member] : value.items()) {
    if (value.is_object()) fields.insert(name);
    for (const auto& part : name == "formats" && member.is_object()
                                ? std::vector<json>(member.begin(), member.end())
                                : std::vector<json>{member})
      collect_fields(part, fields);
  }
}

TEST_F(JsonTest, HelpNamesEveryField) {
  for (const auto& [command, arguments] : std::vector<std::pair<std::string, std::string>>{
           {"run", model_ + " hello -n 3"},
           {"tokenize", model_ + " a"},
           {"logits", model_ + " -p hello"},
           {"eval perplexity", model_ + " " + text_ + " --ctx 64"},
           {"eval kl", model_ + " " + model_ + " " + text_ + " --ctx 64"},
           {"eval compare", model_ + " " + model_ + " --text " + text_ + " -c 64 -n 4"},
           {"inspect", model_},
           {"show", model_},
           {"list", ""},
           {"quantize", model_ + " --format Q8_0 --force -o " + (folder_ / "q").string()},
           {"bench", model_ + " -p 4 -n 2 -r 1 --ctx 64"},
           {"bench", model_ + " -p 4 -n 2 -r 1 --ctx 64 --roofline -b 2"},
           {"bench", model_ + decoders_}}) {
    const Outcome outcome = run(command + " " + arguments + " --json");
    ASSERT_EQ(outcome.status, 0) << command << outcome.err;
    std::set<std::string> fields;
    collect_fields(json::parse(outcome.out), fields);
    ASSERT_FALSE(fields.empty()) << command;
    const std::string help = run(command + " --help").out;
    const std::string described = help.substr(std::min(help.find("JSON:"), help.size()));
    for (const std::string& field : fields) {
      EXPECT_TRUE(std::regex_search(described, std::regex("\\b" + field + "\\b")))
          << command << " --help does not name '" << field << "'";
    }
    EXPECT_NE(described.find("Exit status:"), std::string::npos) << command;
  }
}

// Logits are compared bit by bit: none is rounded.
TEST_F(JsonTest, LogitsAreExact) {
  const std::string file = (folder_ / "logits.f32").string();
  const Outcome outcome = run("logits " + model_ + " -p hello --top 50 --json --out " + file);
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const std::string bytes = read_bytes(file);
  const auto top = json::parse(outcome.out)["positions"][0]["top"];
  ASSERT_EQ(top.size(), 50u);
  for (const auto& entry : top) {
    float expected = 0;
    std::memcpy(&expected, bytes.data() + entry["token"].get<size_t>() * sizeof(float),
                sizeof(float));
    EXPECT_EQ(entry["logit"].get<double>(), static_cast<double>(expected));
  }
}

}  // namespace
}  // namespace tessera
