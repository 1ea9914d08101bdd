#include "text/chat.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "tiny_vocabularies.h"

namespace tessera {
namespace {

ChatFormat chatml() {
  return {ChatTemplate(kChatMlTemplate), "<s>", "</s>"};
}

TEST(Chat, FallbackTemplateIsChatMl) {
  EXPECT_EQ(render_chat(chatml(), {{"system", "Be brief."}, {"user", "Hi"}}),
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
            "<|im_start|>assistant\n");
  ChatOptions options;
  options.add_generation_prompt = false;
  EXPECT_EQ(render_chat(chatml(), {{"user", " Hi\n"}}, options),
            "<|im_start|>user\n Hi\n<|im_end|>\n");
}

TEST(Chat, FallbackTemplateJoinsTextPartsAndTakesNull) {
  ChatOptions options;
  options.add_generation_prompt = false;
  const nlohmann::ordered_json parts = {{{"type", "text"}, {"text", "a"}},
                                        {{"type", "text"}, {"text", "b"}}};
  EXPECT_EQ(render_chat(chatml(), {{"user", parts}, {"assistant", nullptr}}, options),
            "<|im_start|>user\nab<|im_end|>\n<|im_start|>assistant\n<|im_end|>\n");
}

TEST(Chat, TemplateSeesTokensToolsAndExtraMembers) {
  const ChatFormat format{ChatTemplate("{{ bos_token }}{{ tools[0].name }}{{ messages[0].name }}"
                                       "{{ thinking }}{{ eos_token }}"),
                          "<s>", "</s>"};
  ChatOptions options;
  options.tools = {{{"name", "f"}}};
  options.variables = {{"thinking", true}};
  EXPECT_EQ(render_chat(format, {{"user", "x", {{"name", "Ann"}}}}, options), "<s>fAnnTrue</s>");
}

TEST(Chat, ToolsAreNoneUnlessGiven) {
  const ChatFormat format{ChatTemplate("{{ tools is none }}{{ documents is none }}"), "", ""};
  EXPECT_EQ(render_chat(format, {}), "TrueTrue");
}

TEST(Chat, ErrorsSayThatTheTemplateRaisedThem) {
  const ChatFormat format{ChatTemplate("a\n{{ raise_exception('roles must alternate') }}"), "", ""};
  try {
    render_chat(format, {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "chat template, line 2: roles must alternate");
  }
  EXPECT_THROW(ChatTemplate("{% if %}"), Error);
}

// A model with the tokens <s> (256) and </s> (257).
GgufMetadata tiny_model() {
  GgufMetadata metadata = testing::byte_level_bpe("gpt-2", {}, {{"<s>", 3}, {"</s>", 3}});
  metadata.set("tokenizer.ggml.bos_token_id", {uint32_t{256}});
  metadata.set("tokenizer.ggml.eos_token_id", {uint32_t{257}});
  return metadata;
}

TEST(ChatFormats, ComeFromTheModel) {
  GgufMetadata metadata = tiny_model();
  metadata.set("tokenizer.chat_template", {std::string("{{ bos_token }}plain{{ eos_token }}")});
  metadata.set("tokenizer.chat_template.tool_use",
               {std::string("{{ messages[0].content }} with {{ (tools or []) | tojson }}")});
  const auto tokenizer = make_tokenizer(metadata);
  const ChatFormats formats(gguf::read_chat_templates(metadata), *tokenizer);
  EXPECT_EQ(render_chat(formats.standard(), {}), "<s>plain</s>");
  EXPECT_EQ(render_chat(formats.with_tools(), {{"user", "Hi"}}), "Hi with []");
  EXPECT_FALSE(formats.standard().capabilities.tools);
  EXPECT_TRUE(formats.with_tools().capabilities.tools);
}

TEST(ChatFormats, AreChatMlForAModelWithoutTemplate) {
  const GgufMetadata metadata = tiny_model();
  const auto tokenizer = make_tokenizer(metadata);
  const ChatFormats formats(gguf::read_chat_templates(metadata), *tokenizer);
  EXPECT_EQ(render_chat(formats.standard(), {{"user", "Hi"}}),
            "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(&formats.with_tools(), &formats.standard());
}

// Whoever never chats is not troubled by a template that does not parse.
TEST(ChatFormats, AreParsedWhenTheyAreAskedFor) {
  GgufMetadata metadata = tiny_model();
  metadata.set("tokenizer.chat_template", {std::string("{% if %}")});
  const auto tokenizer = make_tokenizer(metadata);
  const ChatFormats formats(gguf::read_chat_templates(metadata), *tokenizer);
  EXPECT_THROW(formats.standard(), Error);
}

TEST(ChatFormats, TheTemplateTellsHowCallsAreWritten) {
  const auto tokenizer = make_tokenizer(tiny_model());
  const auto style_of = [&](const std::string& source) {
    return make_chat_format(&source, *tokenizer).tool_style;
  };
  EXPECT_EQ(style_of("... <tool_call> ..."), ToolStyle::kHermes);
  EXPECT_EQ(style_of("{{ '<|python_tag|>' }}"), ToolStyle::kLlama3);
  EXPECT_EQ(style_of("{{ messages }}"), ToolStyle::kHermes);
}

}  // namespace
}  // namespace tessera
