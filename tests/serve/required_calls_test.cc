#include "serve/api/required_calls.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "base/error.h"
#include "grammar/automaton.h"
#include "grammar/structured_output.h"
#include "text/tool_calls.h"

namespace tessera::serve {
namespace {

// What an answer is held to is what the parser reads.
TEST(RequiredCalls, AreWrittenInTheStyle) {
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
    ToolCallParser parser(style);
    ToolCallParser::Output read = parser.push(f + separator + g);
    for (ToolCall& call : parser.finish(false).calls) read.calls.push_back(std::move(call));
    ASSERT_EQ(read.calls.size(), 2u);
    EXPECT_EQ(read.calls[0].name + read.calls[0].arguments, "f{\"a\":1}");
    EXPECT_EQ(read.calls[1].name + read.calls[1].arguments, "g{}");
    EXPECT_EQ(read.content, "");
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
  expect_calls(ToolStyle::kGemma4, R"(<|tool_call>call:f{"a": 1}<tool_call|>)",
               "<|tool_call>call:g{}<tool_call|>", "");
}

// A call that the parser would take for text is none.
TEST(RequiredCalls, AreRefusedWhereTheNameCannotBeSpelled) {
  for (const char* name : {"a:b", "a}", "a{b", "<a", "a\nb"}) {
    const Json tools = Json::array({{{"function", {{"name", name}}}}});
    EXPECT_THROW(required_calls(ToolStyle::kGemma4, tools, "", true), Error) << name;
    EXPECT_EQ(required_calls(ToolStyle::kHermes, tools, "", true).functions.size(), 1U) << name;
  }
}

}  // namespace
}  // namespace tessera::serve
