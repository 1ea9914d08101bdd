#include "text/chat.h"

#include <gtest/gtest.h>

#include "base/error.h"

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

}  // namespace
}  // namespace tessera
