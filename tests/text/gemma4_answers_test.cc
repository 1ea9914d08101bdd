// Calls, thoughts and results in Gemma 4's notation: read from answers, and shown to templates.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "paths.h"
#include "text/chat.h"
#include "text/marked_call.h"
#include "text/tool_calls.h"
#include "text/tool_responses.h"
#include "tiny_vocabularies.h"

namespace tessera {
namespace {

using Json = nlohmann::ordered_json;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Told {
  std::string content, reasoning;
  std::vector<std::string> calls;  // name and arguments
  bool operator==(const Told&) const = default;
};

Told tell(ToolCallParser parser, std::string_view text, size_t piece, bool is_cut) {
  Told told;
  const auto take = [&](const AnswerParts& parts) {
    told.content += parts.content;
    told.reasoning += parts.reasoning;
    for (const ToolCall& call : parts.calls)
      told.calls.push_back(call.name + call.arguments + (call.is_whole ? "" : " (cut)"));
  };
  for (size_t i = 0; i < text.size(); i += piece) take(parser.push(text.substr(i, piece)));
  take(parser.finish(is_cut));
  return told;
}

// Whatever the pieces in which the text comes.
void expect_told(std::string_view text, const Told& expected, bool is_cut = false,
                 const ChannelParser::Options& options = {}) {
  for (const size_t piece : {size_t{1}, size_t{2}, size_t{5}, text.size() + 1}) {
    const Told told = tell(ToolCallParser(options), text, piece, is_cut);
    EXPECT_EQ(told.content, expected.content) << text << " in pieces of " << piece;
    EXPECT_EQ(told.reasoning, expected.reasoning) << text << " in pieces of " << piece;
    EXPECT_EQ(told.calls, expected.calls) << text << " in pieces of " << piece;
  }
}

TEST(Gemma4Answers, ThoughtsAreToldFromContent) {
  expect_told("Hello, world!\n", {"Hello, world!\n", "", {}});
  expect_told("1 <| 2 <channel", {"1 <| 2 <channel", "", {}});
  expect_told("<|channel>thought\nI'm\nthinking\n<channel|>Hello", {"Hello", "I'm\nthinking", {}});
  expect_told("<|channel>thought<channel|>Hello", {"Hello", "", {}});
  expect_told("<|channel>plan: x<channel|>y", {"y", "plan: x", {}});
  // Marks without a partner, and a thought that is not closed.
  expect_told("<|channel>thought\n<channel|>Hello\n<channel|>", {"Hello", "", {}});
  expect_told("<|channel><|channel>thought\n<channel|>Hello<|channel>thought\n<channel|><channel|>",
              {"Hello", "", {}});
  expect_told("<|channel>thought\nI see", {"", "I see", {}});
  expect_told("<|channel>though", {"", "", {}}, true);
}

TEST(Gemma4Answers, CallsAreRead) {
  expect_told("<|tool_call>call:get_time{city:<|\"|>San \"Francisco\"\n<|\"|>}<tool_call|>",
              {"", "", {R"(get_time{"city":"San \"Francisco\"\n"})"}});
  expect_told("Let me see.\n<|tool_call>call:f{}<tool_call|>\n<|tool_call>call:g{a:-7}<tool_call|>",
              {"Let me see.", "", {"f{}", R"(g{"a":-7})"}});
  expect_told(
      "<|channel>thought\nhm<channel|><|tool_call>call:f{a:1.5e10,b:true,c:null}<tool_call|>",
      {"", "hm", {R"(f{"a":1.5e10,"b":true,"c":null})"}});
  expect_told(
      "<|tool_call>call:f{todos:[<|\"|>buy<|\"|>,[]],in:{theme:<|\"|>{a}<|\"|>,<|\"|>k\"<|\"|>:3}}"
      "<tool_call|>",
      {"", "", {R"(f{"todos":["buy",[]],"in":{"theme":"{a}","k\"":3}})"}});
  // A mark within a text is part of it.
  expect_told("<|tool_call>call:f{a:<|\"|><tool_call|><|\"|>}<tool_call|>!",
              {"!", "", {R"(f{"a":"<tool_call|>"})"}});
  // JSON, as answers that must call have it; the end may be missing.
  expect_told(R"(<|tool_call>call:f{ "a" : "x<tool_call|>\"", "b": [1, 2] })",
              {"", "", {R"(f{"a":"x<tool_call|>\"","b":[1,2]})"}});
}

TEST(Gemma4Answers, WhatIsNoCallIsContent) {
  for (const char* text :
       {"<|tool_call>call:f{a:b}<tool_call|>", "<|tool_call>f{}<tool_call|>",
        "<|tool_call>call:{}<tool_call|>", "<|tool_call>call:f{a:1}}<tool_call|>",
        "<|tool_call>call:f{a:1,}<tool_call|>", "<|tool_call>call:f{a:01}<tool_call|>",
        "<|tool_call>call:f{a:<|\"|>}<tool_call|>", "<|tool_call>call:f{a"}) {
    expect_told(text, {text, "", {}});
  }
  std::string deep = "<|tool_call>call:f{a:";
  for (int i = 0; i < 200; ++i) deep += '[';
  expect_told(deep, {deep, "", {}});
}

TEST(Gemma4Answers, ACallThatIsCutIsNoContent) {
  const std::string call =
      "<|tool_call>call:find{city:<|\"|>Pa\"ris<|\"|>,days:[1,2],note:{a:true}}";
  const size_t name_end = call.find('{') + 1;
  for (size_t length = 12; length <= call.size(); ++length) {
    const Told told = tell(ToolCallParser(ToolStyle::kGemma4), call.substr(0, length), 3, true);
    EXPECT_EQ(told.content, "") << call.substr(0, length);
    ASSERT_EQ(told.calls.size(), length >= name_end ? 1u : 0u) << call.substr(0, length);
    if (length < name_end) continue;
    EXPECT_EQ(told.calls[0].ends_with(" (cut)"), length < call.size()) << told.calls[0];
  }
  expect_told(call.substr(0, call.find("ris") + 1), {"", "", {R"(find{"city":"Pa\"r (cut))"}},
              true);
  expect_told(call.substr(0, call.find("2]")),
              {"", "", {R"(find{"city":"Pa\"ris","days":[1 (cut))"}}, true);
}

TEST(Gemma4Answers, WhatIsNotAskedForStaysContent) {
  const std::string thought = "<|channel>thought\nhm<channel|>",
                    call = "<|tool_call>call:f{}<tool_call|>";
  expect_told(thought + "x" + call, {"x" + call, "hm", {}}, false, {.calls = false});
  expect_told(thought + "x" + call, {thought + "x", "", {"f{}"}}, false, {.thoughts = false});
}

ChatFormat gemma4_format(const Tokenizer& tokenizer) {
  std::ifstream file(TESSERA_TEST_DATA "/chat_templates/gemma4.jinja");
  const std::string source(std::istreambuf_iterator<char>(file), {});
  return make_chat_format(&source, tokenizer);
}

std::vector<Message> conversation() {
  std::vector<Message> messages = {{.role = "user", .content = "weather?"},
                                   {.role = "assistant", .content = ""},
                                   {.role = "tool", .content = R"({"sky": "blue"})"},
                                   {.role = "assistant", .content = "It is fine."}};
  messages[1].extra["tool_calls"] =
      Json::parse(R"([{"id":"c1","type":"function","function":{"name":"f","arguments":{"a":1}}}])");
  messages[2].extra["tool_call_id"] = "c1";
  return messages;
}

TEST(Gemma4Answers, TheTemplateTellsTheStyleAndTakesResultsAsTurns) {
  const auto tokenizer = make_tokenizer(testing::byte_level_bpe("gpt-2", {}));
  const ChatFormat format = gemma4_format(*tokenizer);
  EXPECT_EQ(format.tool_style, ToolStyle::kGemma4);
  EXPECT_TRUE(format.capabilities.tools && format.capabilities.tool_role);
  EXPECT_FALSE(format.capabilities.tool_responses);
  auto messages = conversation();
  const std::string prompt = render_chat(format, messages);
  EXPECT_THAT(prompt,
              HasSubstr("<|tool_call>call:f{a:1}<tool_call|><|tool_response>response:f{value:"
                        "<|\"|>{\"sky\": \"blue\"}<|\"|>}<tool_response|>It is fine.<turn|>"));
  messages.pop_back();
  EXPECT_THAT(render_chat(format, messages), EndsWith("<tool_response|>"));
}

// The template of before: it reads results beside the calls, and opens no turn behind them.
constexpr const char* kFirst = R"({%- for message in messages -%}
{{- '<|turn>' ~ message.role ~ '\n' -}}
{%- for call in message.tool_calls or [] -%}{{- '<|tool_call>call:' ~ call.function.name ~ '{}<tool_call|>' -}}{%- endfor -%}
{%- for one in message.tool_responses or [] -%}
{{- '<|tool_response>' ~ one.name ~ ':' ~ (one.response.sky if one.response is mapping else one.response) ~ '<tool_response|>' -}}
{%- endfor -%}
{%- if message.role != 'tool' -%}{{- message.content -}}{%- endif -%}
{{- '<turn|>\n' -}}
{%- endfor -%}
{%- for tool in tools or [] -%}{{- tool.function.name -}}{%- endfor -%}
{%- if add_generation_prompt and not messages[-1].tool_calls -%}{{- '<|turn>model\n' -}}{%- endif -%})";

TEST(Gemma4Answers, ResultsGoBesideTheCallsWhereTheTemplateWantsThemThere) {
  const auto tokenizer = make_tokenizer(testing::byte_level_bpe("gpt-2", {}));
  const std::string source = kFirst;
  const ChatFormat format = make_chat_format(&source, *tokenizer);
  EXPECT_FALSE(format.capabilities.tool_role);
  EXPECT_TRUE(format.capabilities.tool_responses);
  EXPECT_EQ(render_chat(format, conversation()),
            "<|turn>user\nweather?<turn|>\n<|turn>assistant\n<|tool_call>call:f{}<tool_call|>"
            "<|tool_response>f:blue<tool_response|>It is fine.<turn|>\n<|turn>model\n");
  EXPECT_THAT(render_chat(format, conversation(), {.add_generation_prompt = false}),
              EndsWith("It is fine.<turn|>\n"));
}

TEST(Gemma4Answers, ResultsAreNamedByTheirCalls) {
  std::vector<Message> messages = conversation();
  messages[1].extra["tool_calls"].push_back(
      Json::parse(R"({"id":"c2","type":"function","function":{"name":"g","arguments":{}}})"));
  messages[2].extra["tool_call_id"] = "c2";
  messages.insert(messages.begin() + 3, {.role = "tool", .content = "no JSON"});
  messages[4].extra["tool_calls"] = messages[1].extra["tool_calls"];  // calls again
  const auto turns = with_tool_responses(messages);
  ASSERT_EQ(turns.size(), 3u);
  EXPECT_EQ(
      turns[1].extra["tool_responses"],
      Json::parse(R"([{"name":"g","response":{"sky":"blue"}},{"name":"g","response":"no JSON"}])"));
  EXPECT_EQ(turns[1].content, "");
  EXPECT_EQ(turns[2].content, "It is fine.");
  EXPECT_THAT(turns[2].extra.value("tool_responses", Json::array()), IsEmpty());
}

// Parsers look for them; what people write is none all the same.
TEST(Gemma4Answers, MarksShowThoughTheySteer) {
  for (const int32_t type : {3, 4}) {
    const auto tokenizer = make_tokenizer(testing::byte_level_bpe(
        "gpt-2", {}, {{"<|tool_call>", type}, {"<|\"|>", type}, {"<|tool_response>", type}}));
    EXPECT_EQ(tokenizer->piece(256) + tokenizer->piece(257), "<|tool_call><|\"|>");
    EXPECT_TRUE(tokenizer->is_end_of_generation(258) || type == 4);
    EXPECT_THAT(tokenizer->control_texts(), ::testing::IsSupersetOf({"<|tool_call>", "<|\"|>"}));
  }
}

TEST(Gemma4Answers, FindsMarksOutsideOfTexts) {
  EXPECT_EQ(find_outside_texts("a<|\"|>x|<|\"|>|", "|"), 13u);
  EXPECT_EQ(find_outside_texts("[<|\"|>x]<|\"|>,\"]\"]", "]"), 17u);
  EXPECT_EQ(find_outside_texts("[<|\"|>x]", "]"), std::string_view::npos);
}

}  // namespace
}  // namespace tessera
