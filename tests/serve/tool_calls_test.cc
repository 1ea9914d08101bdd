#include "serve/api/tool_calls.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "grammar/automaton.h"
#include "grammar/structured_output.h"

namespace tessera::serve {
namespace {

struct Read {
  std::string content;
  std::vector<std::string> calls;  // name and arguments
  bool operator==(const Read&) const = default;
};

Read read(ToolStyle style, std::string_view text, size_t piece) {
  ToolCallParser parser(style);
  Read result;
  const auto take = [&](const ToolCallParser::Output& output) {
    result.content += output.content;
    for (const ToolCall& call : output.calls) result.calls.push_back(call.name + call.arguments);
  };
  for (size_t i = 0; i < text.size(); i += piece) take(parser.push(text.substr(i, piece)));
  take(parser.finish());
  return result;
}

// Whatever the pieces in which the text comes.
void expect_read(ToolStyle style, std::string_view text, const Read& expected) {
  for (const size_t piece : {size_t{1}, size_t{2}, size_t{3}, size_t{7}, text.size() + 1}) {
    const Read got = read(style, text, piece);
    EXPECT_EQ(got.content, expected.content) << text << " in pieces of " << piece;
    EXPECT_EQ(got.calls, expected.calls) << text << " in pieces of " << piece;
  }
}

TEST(ToolCalls, HermesStyle) {
  const auto hermes = ToolStyle::kHermes;
  expect_read(hermes, "just text, 1 < 2 <tool", {"just text, 1 < 2 <tool", {}});
  expect_read(hermes, "  spaces \n kept\n", {"  spaces \n kept\n", {}});
  expect_read(hermes, "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>",
              {"", {"f{\"a\":1}"}});
  expect_read(hermes,
              "Let me see.\n<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>\n"
              "<tool_call>{\"name\":\"g\",\"arguments\":{\"x\":\"</b>\"}}</tool_call>",
              {"Let me see.", {"f{}", "g{\"x\":\"</b>\"}"}});
  // Tags within an argument are text.
  expect_read(
      hermes,
      "<tool_call>{\"name\":\"f\",\"arguments\":{\"x\":\"\\\"</tool_call>\\\\\"}}</tool_call>\n"
      "<tool_call>{\"name\":\"g\",\"arguments\":{\"x\":\"<tool_call>\"}}</tool_call> end",
      {" end", {"f{\"x\":\"\\\"</tool_call>\\\\\"}", "g{\"x\":\"<tool_call>\"}"}});
  // The end may be missing; a call without arguments has none.
  expect_read(hermes, "<tool_call>{\"name\":\"f\"}", {"", {"f{}"}});
  // What is no call is not lost.
  expect_read(hermes, "<tool_call>not JSON</tool_call>", {"<tool_call>not JSON</tool_call>", {}});
  expect_read(hermes, "<tool_call>{\"name</tool_call> <tool_call>{\"name\":\"f\"}</tool_call>",
              {"<tool_call>{\"name</tool_call>", {"f{}"}});
  expect_read(hermes, "<tool_call>{\"name\": 3}", {"<tool_call>{\"name\": 3}", {}});
  expect_read(hermes, "<tool_call>{\"name\":\"f\",\"arguments\":[1]}</tool_call>",
              {"<tool_call>{\"name\":\"f\",\"arguments\":[1]}</tool_call>", {}});
}

TEST(ToolCalls, Llama3Style) {
  const auto llama = ToolStyle::kLlama3;
  expect_read(llama, "Hello {world}", {"Hello {world}", {}});
  expect_read(llama, "{\"name\": \"f\", \"parameters\": {\"a\": \"}\\\"\"}}",
              {"", {"f{\"a\":\"}\\\"\"}"}});
  expect_read(llama, "\n{\"name\":\"f\",\"parameters\":{}}; {\"name\":\"g\",\"arguments\":{}}\n",
              {"", {"f{}", "g{}"}});
  expect_read(llama, "{\"answer\": 42}", {"{\"answer\": 42}", {}});
  expect_read(llama, "{\"name\": \"f\"", {"{\"name\": \"f\"", {}});
  expect_read(llama, "{\"name\":\"f\"} and more", {"{\"name\":\"f\"} and more", {}});
}

// What an answer is held to is what the parser reads.
TEST(ToolCalls, RequiredCallsAreWrittenInTheStyle) {
  const Json tools = Json::parse(R"([{"function": {"name": "f", "parameters": {"type": "object",
      "properties": {"a": {"type": "integer"}}, "required": ["a"]}}}, {"function": {"name": "g"}}])");
  const auto allows = [&](const FunctionCalls& calls, std::string_view text) {
    const auto grammar = compile_function_calls(calls);
    grammar::Automaton automaton(*grammar);
    auto state = automaton.start();
    for (const char c : text) state = automaton.next(state, static_cast<uint8_t>(c));
    return automaton.ends(state);
  };
  const auto expect_calls = [&](ToolStyle style, const std::string& f, const std::string& g,
                                const std::string& separator) {
    const auto any = required_calls(style, tools, "", true);
    EXPECT_TRUE(allows(any, f) && allows(any, g));
    EXPECT_TRUE(allows(any, f + separator + g + separator + f));
    expect_read(style, f + separator + g, {"", {"f{\"a\":1}", "g{}"}});
    const auto one = required_calls(style, tools, "", false);
    EXPECT_TRUE(allows(one, f) && allows(one, g));
    EXPECT_FALSE(allows(one, f + separator + g));
    const auto named = required_calls(style, tools, "f", true);
    EXPECT_TRUE(allows(named, f));
    EXPECT_FALSE(allows(named, g));
    EXPECT_FALSE(allows(named, f + separator + f));
    EXPECT_FALSE(allows(any, "Well, " + f));
  };
  expect_calls(ToolStyle::kHermes,
               "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>",
               "<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>", "\n");
  expect_calls(ToolStyle::kLlama3, R"({"name": "f", "parameters": {"a": 1}})",
               R"({"name": "g", "parameters": {}})", "; ");
}

TEST(ToolCalls, ToolsAndResultsBecomeTextForTemplatesThatDoNotKnowThem) {
  std::vector<Message> messages = {{.role = "user", .content = "weather?"},
                                   {.role = "assistant", .content = ""},
                                   {.role = "tool", .content = "sunny"}};
  messages[1].extra["tool_calls"] =
      Json::parse(R"([{"id":"1","function":{"name":"f","arguments":{"a":1}}}])");
  EXPECT_EQ(with_tools_as_text(messages, Json::array()).size(), 3u);
  const auto texts =
      with_tools_as_text(messages, Json::parse(R"([{"type":"function","function":{"name":"f"}}])"));
  ASSERT_EQ(texts.size(), 4u);
  EXPECT_EQ(texts[0].role, "system");
  EXPECT_NE(texts[0].content.get<std::string>().find(R"("name":"f")"), std::string::npos);
  EXPECT_EQ(texts[2].content,
            "<tool_call>\n{\"name\":\"f\",\"arguments\":{\"a\":1}}\n</tool_call>");
  EXPECT_EQ(texts[3].role, "user");
}

}  // namespace
}  // namespace tessera::serve
