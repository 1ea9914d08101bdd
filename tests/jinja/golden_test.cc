// What Python's jinja2 renders is what we render. The golden files come from
// tests/jinja/make-template-goldens.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/error.h"
#include "jinja/template.h"
#include "paths.h"

namespace tessera::jinja {
namespace {

using Json = nlohmann::ordered_json;

std::string read(const std::string& name) {
  std::ifstream file(std::string(TESSERA_TEST_DATA) + "/chat_templates/" + name, std::ios::binary);
  EXPECT_TRUE(file) << name;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

RenderOptions options() {
  RenderOptions result;
  std::tm now{};
  now.tm_year = 124;
  now.tm_mon = 6;
  now.tm_mday = 26;
  now.tm_hour = 9;
  now.tm_min = 5;
  now.tm_sec = 7;
  now.tm_wday = 5;
  now.tm_yday = 207;
  result.now = now;
  return result;
}

void expect_golden(const std::string& source, const Json& variables, const Json& golden) {
  try {
    const std::string output = Template(source).render(variables, options());
    if (golden.contains("error")) {
      ADD_FAILURE() << "should fail as jinja2 does with " << golden["error"]
                    << ", gave: " << output;
    } else {
      EXPECT_EQ(output, golden["output"].get<std::string>());
    }
  } catch (const Error& error) {
    EXPECT_TRUE(golden.contains("error")) << error.what();
    const std::string message = error.what();
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    EXPECT_EQ(message.rfind("line ", 0), 0u) << message;
  }
}

TEST(JinjaGolden, SnippetsRenderAsInJinja2) {
  const Json variables = Json::parse(read("conversations.json"))["snippet_variables"];
  const Json goldens = Json::parse(read("snippet_goldens.json"));
  ASSERT_GE(goldens.size(), 300u);
  for (const Json& golden : goldens) {
    const auto source = golden["source"].get<std::string>();
    SCOPED_TRACE(source);
    expect_golden(source, variables, golden);
  }
}

TEST(JinjaGolden, ChatTemplatesRenderAsInJinja2) {
  const Json conversations = Json::parse(read("conversations.json"));
  const Json goldens = Json::parse(read("goldens.json"));
  ASSERT_GE(goldens.size(), 300u);
  for (const Json& golden : goldens) {
    const auto name = golden["conversation"].get<std::string>();
    SCOPED_TRACE(golden["template"].get<std::string>() + ", " + name);
    Json variables = conversations["defaults"];
    variables.update(conversations["conversations"][name]);
    variables["add_generation_prompt"] = golden["prompt"];
    expect_golden(read(golden["template"].get<std::string>()), variables, golden);
  }
}

}  // namespace
}  // namespace tessera::jinja
