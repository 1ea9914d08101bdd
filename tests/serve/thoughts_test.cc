// What a model thinks, where it marks that, is told apart from what it answers.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "files/gguf/metadata.h"
#include "files/gguf/tokenizer.h"
#include "serve/api/answers.h"
#include "text/tokenizer.h"

namespace tessera::serve {
namespace {

class ThoughtsTest : public testing::Test {
 protected:
  ThoughtsTest() {
    GgufMetadata metadata;
    metadata.set("tokenizer.ggml.model", {std::string("gpt2")});
    metadata.set("tokenizer.ggml.pre", {std::string("gpt-2")});
    metadata.set("tokenizer.ggml.tokens", {GgufValue::Array(std::vector<std::string>{"a"})});
    metadata.set("tokenizer.ggml.merges", {GgufValue::Array(std::vector<std::string>{})});
    tokenizer_ = Tokenizer::make(gguf::read_tokenizer(metadata));
  }

  struct Said {
    Json message;
    std::string streamed_content, streamed_reasoning, finish_reason;
  };
  Said say(const std::vector<std::string>& pieces, AnswersOptions options) {
    options.tool_style = ToolStyle::kGemma4;
    const auto answers = make_chat_answers(*tokenizer_, std::move(options));
    Said said;
    for (size_t i = 0; i < pieces.size(); ++i) {
      Update update;
      update.text = pieces[i];
      if (i + 1 == pieces.size()) update.outcome.emplace().finish_reason = "stop";
      for (const Json& chunk : answers->add(std::move(update))) {
        const Json& delta = chunk["choices"][0]["delta"];
        if (delta.contains("content")) said.streamed_content += delta["content"];
        if (delta.contains("reasoning_content"))
          said.streamed_reasoning += delta["reasoning_content"];
      }
    }
    const Json choice = answers->whole()["choices"][0];
    said.message = choice["message"];
    said.finish_reason = choice["finish_reason"];
    return said;
  }

  const std::vector<std::string> pieces_ = {"<|channel>",
                                            "thought\nLet me",
                                            " see.\n<channel|>",
                                            "Here:",
                                            "<|tool_call>call:f{a:<|\"|>x<|\"|>}",
                                            "<tool_call|>"};
  std::unique_ptr<const Tokenizer> tokenizer_;
};

TEST_F(ThoughtsTest, AreNoContent) {
  const Said said = say(pieces_, {.model = "m", .tools = true});
  EXPECT_EQ(said.message["content"], "Here:");
  EXPECT_EQ(said.message["reasoning_content"], "Let me see.");
  EXPECT_EQ(said.message["tool_calls"][0]["function"]["arguments"], R"({"a":"x"})");
  EXPECT_EQ(said.finish_reason, "tool_calls");
  EXPECT_EQ(said.streamed_content, "Here:");
  EXPECT_EQ(said.streamed_reasoning, "Let me see.");
}

TEST_F(ThoughtsTest, StayContentIfThatIsAskedFor) {
  const Said raw = say(pieces_, {.model = "m", .tools = true, .tells_thoughts = false});
  EXPECT_EQ(raw.message["content"], "<|channel>thought\nLet me see.\n<channel|>Here:");
  EXPECT_FALSE(raw.message.contains("reasoning_content"));
  const Said without_tools = say(pieces_, {.model = "m"});
  EXPECT_EQ(without_tools.message["content"],
            "Here:<|tool_call>call:f{a:<|\"|>x<|\"|>}<tool_call|>");
  EXPECT_EQ(without_tools.message["reasoning_content"], "Let me see.");
}

}  // namespace
}  // namespace tessera::serve
