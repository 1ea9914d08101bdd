// Texts and conversations as examples: what counts, what is cut, what is refused.
#include "train/data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "files/open.h"
#include "support/error_of.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"

namespace tessera::train {
namespace {

class DataTest : public testing::Test {
 protected:
  std::vector<Example> plain(std::string_view text, int length) const {
    std::vector<Example> examples;
    read_plain(*tokenizer_, text, length, examples);
    return examples;
  }
  std::vector<Example> lines(std::string_view text, int length = 1000) const {
    std::vector<Example> examples;
    left_out_ = read_lines(*tokenizer_, format_, text, length, examples);
    return examples;
  }
  // What counts, as text.
  std::string counted(const Example& example) const {
    std::vector<Token> targets;
    for (const Token target : example.targets)
      if (target != kNothing) targets.push_back(target);
    return tokenizer_->decode(targets, true);
  }
  std::string all(const Example& example) const { return tokenizer_->decode(example.tokens, true); }

  const test::TempFolder folder_;
  const std::shared_ptr<const Checkpoint> model_ =
      open_checkpoint(write_tiny_model({}, folder_.path()));
  const std::unique_ptr<const Tokenizer> tokenizer_ = Tokenizer::make(model_->read_tokenizer());
  const ChatFormat format_ = make_chat_format(nullptr, *tokenizer_);  // ChatML
  mutable int left_out_ = 0;
};

std::string with_calls(const std::string& calls) {
  return R"({"messages": [{"role": "user", "content": "x"}, )"
         R"({"role": "assistant", "content": "y", "tool_calls": )" +
         calls + "}]}";
}

TEST_F(DataTest, ATextIsCutAndEveryTokenIsFollowedByTheNext) {
  const std::string text = "one two three four five six seven";
  const auto whole = plain(text, 1000);
  ASSERT_EQ(whole.size(), 1u);
  EXPECT_EQ(whole[0].counting(), whole[0].rows());
  const auto parts = plain(text, 5);
  ASSERT_GT(parts.size(), 2u);
  std::string joined;
  int counting = 0;
  for (const Example& part : parts) {
    EXPECT_LE(part.rows(), 5);
    counting += part.counting();
    joined += counted(part);
  }
  EXPECT_EQ(counting, whole[0].counting());
  EXPECT_EQ(joined, counted(whole[0]));
  EXPECT_TRUE(plain("", 5).empty());
}

TEST_F(DataTest, OfAConversationOnlyAnswersCount) {
  const auto examples = lines(
      R"({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"},)"
      R"( {"role": "user", "content": "how"}, {"role": "assistant", "content": "so"}]})"
      "\n\n"
      R"({"prompt": "a b", "completion": " c"})"
      "\n"
      R"({"text": "d e"})");
  ASSERT_EQ(examples.size(), 3u);
  EXPECT_THAT(all(examples[0]), testing::HasSubstr("<|im_start|>user\nhi<|im_end|>"));
  EXPECT_EQ(counted(examples[0]), "yo<|im_end|>\nso<|im_end|>\n");
  EXPECT_THAT(counted(examples[1]), testing::StartsWith(" c"));
  EXPECT_THAT(counted(examples[2]), testing::HasSubstr("e"));
  EXPECT_EQ(left_out_, 0);
}

TEST_F(DataTest, WhatDoesNotFitIsLeftOut) {
  const std::string line =
      R"({"messages": [{"role": "user", "content": "a long question"}, {"role": "assistant", "content": "yes"}]})";
  EXPECT_TRUE(lines(line, 6).empty());
  EXPECT_EQ(left_out_, 1);
}

TEST_F(DataTest, BadLinesAreNamed) {
  const std::pair<std::string, std::string> cases[] = {
      {"{\"text\": \"a b c\"}\n{", "line 2 is no JSON: "},
      {"[]", "line 1: expected an object"},
      {"{}", "line 1: expected 'messages', 'prompt' and 'completion', or 'text'"},
      {R"({"text": 3})", "line 1: 'text' is no text"},
      {R"({"prompt": "a"})", "line 1: 'completion' is no text"},
      {R"({"messages": 3})", "line 1: 'messages' is no list of messages"},
      {R"({"messages": [{"content": "x"}]})", "line 1: 'role' is no text"},
      {R"({"messages": [{"role": "user", "content": "x"}]})",
       "line 1: no message is the assistant's"},
      {R"({"messages": [{"role": "user", "content": 7}]})", "line 1: 'content' is no text"},
      {with_calls("7"), "line 1: 'tool_calls' is no list of calls"},
      {with_calls("[7]"), "line 1: 'tool_calls' is no list of calls"},
      {with_calls("[{}]"), "line 1: 'tool_calls' is no list of calls"},
      {with_calls(R"([{"function": {"name": 7}}])"), "line 1: 'name' is no text"},
      {with_calls(R"([{"function": {"name": "f", "arguments": ")" + std::string(100, '[') +
                  "\"}}]"),
       "line 1: the JSON is nested more than 64 deep"},
      {"{}\n" + std::string(200000, '['), "line 1: expected"},
      {"\n" + std::string(200000, '['), "line 2: the JSON is nested more than 64 deep"}};
  for (const auto& one : cases)
    EXPECT_THAT(error_of([&] { lines(one.first); }), testing::StartsWith(one.second));
}

// Of templates that have results beside the calls: the name of one that is of no call, and says
// none.
TEST_F(DataTest, ResultsOfNoCallAreUnknowns) {
  const std::string source =
      "{% if tools %}{% for t in tools %}{{ t.function.name }}{% endfor %}{% endif %}"
      "{% for m in messages %}{% if m.role != 'tool' %}|{{ m.role }}:{{ m.content }}"
      "{% if m.tool_calls %}{% for c in m.tool_calls %}<{{ c.function.name }}>{% endfor %}"
      "{% endif %}{% if m.tool_responses %}{% for r in m.tool_responses %}"
      "[{{ r.name }} {{ r.response }}]{% endfor %}{% endif %}{% endif %}{% endfor %}"
      "{% if add_generation_prompt %}|assistant:{% endif %}";
  const ChatFormat format = make_chat_format(&source, *tokenizer_);
  ASSERT_TRUE(format.capabilities.tool_responses);
  std::vector<Example> examples;
  read_lines(
      *tokenizer_, format,
      R"({"messages": [{"role": "user", "content": "x"}, )"
      R"({"role": "assistant", "content": "y", "tool_calls": [{"function": {"name": "f"}}]}, )"
      R"({"role": "tool", "content": "5", "tool_call_id": "a"}, )"
      R"({"role": "tool", "content": "6", "name": 7}, )"
      R"({"role": "user", "content": "z"}, {"role": "assistant", "content": "w v"}]})",
      1000, examples);
  ASSERT_EQ(examples.size(), 1u);
  EXPECT_THAT(all(examples[0]), testing::HasSubstr("<f>[f 5][unknown 6]|user:z"));
}

// Folders with columns for every member leave null where there is none.
TEST_F(DataTest, CallsAreLearnedAsTheServerWritesThem) {
  const std::string source =
      "{% for m in messages %}{{ m.role }}:{{ m.content }}{% if m.tool_calls %}"
      "{% for c in m.tool_calls %}<{{ c.function.name }} {{ c.function.arguments.x }}>{% endfor %}"
      "{% endif %}\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}";
  const ChatFormat format = make_chat_format(&source, *tokenizer_);
  std::vector<Example> examples;
  read_lines(*tokenizer_, format,
             with_calls(R"([{"function": {"name": "f", "arguments": "{\"x\": 5}"}}])") + "\n" +
                 with_calls("null"),
             1000, examples);
  ASSERT_EQ(examples.size(), 2u);
  EXPECT_EQ(counted(examples[0]), "y<f 5>");
  EXPECT_EQ(counted(examples[1]), "y");
}

TEST_F(DataTest, HeldOutExamplesAreSpread) {
  std::vector<Example> examples;
  for (Token i = 0; i < 10; ++i) examples.push_back(plain_example(std::vector<Token>{i, i}));
  const Data data = hold_out(examples, 0.2);
  ASSERT_EQ(data.held_out.size(), 2u);
  EXPECT_EQ(data.held_out[0].tokens[0], 4);
  EXPECT_EQ(data.held_out[1].tokens[0], 9);
  EXPECT_EQ(data.learned.size(), 8u);
  EXPECT_TRUE(hold_out(examples, 0).held_out.empty());
  EXPECT_EQ(error_of([] { hold_out({}, 0.1); }), "there is no example to learn from");
}

}  // namespace
}  // namespace tessera::train
