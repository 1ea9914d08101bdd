#include "text/tool_calls.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "text/tools_as_text.h"

namespace tessera {
namespace {

using Json = nlohmann::ordered_json;

struct Read {
  std::string content;
  std::vector<std::string> calls;  // name and arguments
  bool operator==(const Read&) const = default;
};

struct Reading {
  ToolStyle style;
  bool is_cut = false;
  std::vector<std::string> names = {};
};

Read read(const Reading& how, std::string_view text, size_t piece) {
  ToolCallParser parser(how.style, how.names);
  Read result;
  const auto take = [&](const ToolCallParser::Output& output) {
    result.content += output.content;
    for (const ToolCall& call : output.calls)
      result.calls.push_back(call.name + call.arguments + (call.is_whole ? "" : " (cut)"));
  };
  for (size_t i = 0; i < text.size(); i += piece) take(parser.push(text.substr(i, piece)));
  take(parser.finish(how.is_cut));
  return result;
}

// Whatever the pieces in which the text comes.
void expect_read(const Reading& how, std::string_view text, const Read& expected) {
  for (const size_t piece : {size_t{1}, size_t{2}, size_t{3}, size_t{7}, text.size() + 1}) {
    const Read got = read(how, text, piece);
    EXPECT_EQ(got.content, expected.content) << text << " in pieces of " << piece;
    EXPECT_EQ(got.calls, expected.calls) << text << " in pieces of " << piece;
  }
}

TEST(ToolCalls, HermesStyle) {
  const Reading hermes{ToolStyle::kHermes};
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
  const Reading llama{ToolStyle::kLlama3};
  expect_read(llama, "Hello {world}", {"Hello {world}", {}});
  expect_read(llama, "{\"name\": \"f\", \"parameters\": {\"a\": \"}\\\"\"}}",
              {"", {"f{\"a\":\"}\\\"\"}"}});
  expect_read(llama, "\n{\"name\":\"f\",\"parameters\":{}}; {\"name\":\"g\",\"arguments\":{}}\n",
              {"", {"f{}", "g{}"}});
  expect_read(llama, "{\"answer\": 42}", {"{\"answer\": 42}", {}});
  expect_read(llama, "{\"name\": \"f\"", {"{\"name\": \"f\"", {}});
  expect_read(llama, "{\"name\":\"f\"} and more", {"{\"name\":\"f\"} and more", {}});
}

// In the style of Llama 3 nothing but the name tells a call from other JSON.
TEST(ToolCalls, OnlyFunctionsThatThereAreAreCalled) {
  const Reading llama{ToolStyle::kLlama3, false, {"find", "buy"}};
  expect_read(llama, R"({"name": "find", "parameters": {"a": 1}})", {"", {R"(find{"a":1})"}});
  expect_read(llama, R"({"name": "Ann", "age": 3})", {R"({"name": "Ann", "age": 3})", {}});
}

// Wherever an answer is cut, there is no markup in its content, and what there is of the call is
// given as soon as its name is whole.
TEST(ToolCalls, ACallThatIsCutIsNoContent) {
  const std::string call = R"(<tool_call>
{"name": "find", "arguments": {"city": "Pa\"ris", "days": [1, 2], "note": "</tool_call>"}}
</tool_call>)";
  const size_t name_end = call.find("find\"") + 5, json_end = call.rfind('}') + 1;
  for (const std::string& before : {std::string(), std::string("Let me see."), call}) {
    for (size_t length = 1; length <= call.size(); ++length) {
      const std::string text = before + (before.empty() ? "" : "\n") + call.substr(0, length);
      const Read got = read({ToolStyle::kHermes, true}, text, 3);
      EXPECT_EQ(got.content, before == call ? "" : before) << text;
      const size_t calls = (before == call ? 1 : 0) + (length >= name_end ? 1 : 0);
      ASSERT_EQ(got.calls.size(), calls) << text;
      if (length < name_end) continue;
      const std::string& last = got.calls.back();
      EXPECT_TRUE(last.starts_with("find")) << text;
      EXPECT_EQ(last.ends_with(" (cut)"), length < json_end) << text;
    }
  }
  EXPECT_EQ(read({ToolStyle::kHermes, true}, call.substr(0, call.find("Pa") + 2), 5).calls,
            std::vector<std::string>{R"(find{"city": "Pa (cut))"});

  const std::string llama = R"({"name": "find", "parameters": {"city": "Paris"}})";
  const Reading named{ToolStyle::kLlama3, true, {"find", "buy"}};
  for (const std::string& before : {std::string(), llama + "; "}) {
    for (size_t length = 1; length <= llama.size(); ++length) {
      const Read got = read(named, before + llama.substr(0, length), 4);
      EXPECT_EQ(got.content, "") << llama.substr(0, length);
      EXPECT_EQ(got.calls.size(),
                (before.empty() ? 0u : 1u) + (length >= llama.find("find\"") + 5 ? 1u : 0u))
          << llama.substr(0, length);
    }
  }
  // What cannot become a call is content, however it ends.
  for (const char* text :
       {R"({"answer": 4)", R"({"name": "Ann)", R"({"name": 3)", "{7", R"({"name": "find", "age")"})
    expect_read(named, text, {text, {}});
  for (const char* text : {"1 < 2", "text ", "a <tool> b", "<tool_call>not JSON"})
    expect_read({ToolStyle::kHermes, true}, text, {text, {}});
}

// A call begins a line. Elsewhere what could be the beginning of its tag is what it says.
TEST(ToolCalls, TextThatEndsAsATagBeginsIsKept) {
  const Reading cut{ToolStyle::kHermes, true};
  for (const char* text : {"if a <", "vector<t", "List <to", "1 < 2 and 3 <tool", "a\n b <"})
    expect_read(cut, text, {text, {}});
  for (const char* text : {"<", " <t", "\n<tool"}) expect_read(cut, text, {"", {}});
  expect_read(cut, "Let me see.\n<to", {"Let me see.", {}});
  expect_read(cut, "Let me see. <tool_c", {"Let me see.", {}});  // nothing else is spelled so
  const std::string call = R"(<tool_call>{"name":"f"}</tool_call>)";
  expect_read(cut, call + " <too", {"", {"f{}"}});
  expect_read(cut, call + " done <too", {" done <too", {"f{}"}});
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
}  // namespace tessera
