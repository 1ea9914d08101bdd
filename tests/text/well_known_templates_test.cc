// What each well-known format makes of a conversation.
#include "text/well_known_templates.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "base/error.h"
#include "support/error_of.h"
#include "support/temp_folder.h"
#include "text/chat.h"

namespace tessera {
namespace {

ChatFormat format_of(const std::string& name_or_file) {
  ChatFormat format{ChatTemplate(find_chat_template(name_or_file)), "<s>", "</s>"};
  format.capabilities = probe_template(format.source, "<s>", "</s>");
  return format;
}

const std::map<std::string, std::string> kExpected = {
    {"alpaca",
     "<s>S\n\n### Instruction:\nU\n\n### Response:\nA</s>\n\n### Instruction:\nV\n\n### "
     "Response:\n"},
    {"chatml",
     "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n"
     "<|im_start|>assistant\nA<|im_end|>\n<|im_start|>user\nV<|im_end|>\n<|im_start|>assistant\n"},
    {"command-r",
     "<s><|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>S<|END_OF_TURN_TOKEN|>"
     "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>U<|END_OF_TURN_TOKEN|>"
     "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>A<|END_OF_TURN_TOKEN|>"
     "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>V<|END_OF_TURN_TOKEN|>"
     "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>"},
    {"deepseek", "<s>S\n\nUser: U\n\nAssistant: A</s>User: V\n\nAssistant:"},
    {"deepseek3",
     "<s>S<\uFF5CUser\uFF5C>U<\uFF5CAssistant\uFF5C>A</"
     "s><\uFF5CUser\uFF5C>V<\uFF5CAssistant\uFF5C>"},
    {"gemma",
     "<s><start_of_turn>user\nS\n\nU<end_of_turn>\n<start_of_turn>model\nA<end_of_turn>\n"
     "<start_of_turn>user\nV<end_of_turn>\n<start_of_turn>model\n"},
    {"granite",
     "<|start_of_role|>system<|end_of_role|>S<|end_of_text|>\n"
     "<|start_of_role|>user<|end_of_role|>U<|end_of_text|>\n"
     "<|start_of_role|>assistant<|end_of_role|>A<|end_of_text|>\n"
     "<|start_of_role|>user<|end_of_role|>V<|end_of_text|>\n"
     "<|start_of_role|>assistant<|end_of_role|>"},
    {"llama2", "<s>[INST] <<SYS>>\nS\n<</SYS>>\n\nU [/INST] A </s><s>[INST] V [/INST]"},
    {"llama3",
     "<s><|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|>"
     "<|start_header_id|>user<|end_header_id|>\n\nU<|eot_id|>"
     "<|start_header_id|>assistant<|end_header_id|>\n\nA<|eot_id|>"
     "<|start_header_id|>user<|end_header_id|>\n\nV<|eot_id|>"
     "<|start_header_id|>assistant<|end_header_id|>\n\n"},
    {"mistral", "<s>[INST] S\n\nU [/INST] A</s>[INST] V [/INST]"},
    {"mistral-v7", "<s>[SYSTEM_PROMPT]S[/SYSTEM_PROMPT][INST]U[/INST]A</s>[INST]V[/INST]"},
    {"openchat",
     "<s>S<|end_of_turn|>GPT4 Correct User: U<|end_of_turn|>"
     "GPT4 Correct Assistant: A<|end_of_turn|>GPT4 Correct User: V<|end_of_turn|>"
     "GPT4 Correct Assistant:"},
    {"phi3",
     "<|system|>\nS<|end|>\n<|user|>\nU<|end|>\n<|assistant|>\nA<|end|>\n<|user|>\nV<|end|>\n"
     "<|assistant|>\n"},
    {"phi4",
     "<|im_start|>system<|im_sep|>S<|im_end|><|im_start|>user<|im_sep|>U<|im_end|>"
     "<|im_start|>assistant<|im_sep|>A<|im_end|><|im_start|>user<|im_sep|>V<|im_end|>"
     "<|im_start|>assistant<|im_sep|>"},
    {"vicuna", "<s>S USER: U ASSISTANT: A</s>USER: V ASSISTANT:"},
    {"zephyr",
     "<|system|>\nS</s>\n<|user|>\nU</s>\n<|assistant|>\nA</s>\n<|user|>\nV</s>\n<|assistant|>\n"},
};

TEST(WellKnownTemplates, WriteTheFormatsOfTheirFamilies) {
  for (const auto& [name, source] : well_known_templates()) {
    ASSERT_TRUE(kExpected.contains(std::string(name))) << name;
    EXPECT_EQ(render_chat(format_of(std::string(name)),
                          {{"system", "S"}, {"user", "U"}, {"assistant", "A"}, {"user", "V"}}),
              kExpected.at(std::string(name)))
        << name;
  }
  EXPECT_EQ(kExpected.size(), well_known_templates().size());
}

TEST(WellKnownTemplates, TakeEveryOrderOfTurns) {
  ChatOptions options;
  options.add_generation_prompt = false;
  for (const auto& [name, source] : well_known_templates()) {
    const ChatFormat format = format_of(std::string(name));
    for (const std::vector<Message>& messages : std::vector<std::vector<Message>>{
             {{"user", "tulip"}, {"user", "daisy"}},
             {{"user", "tulip"}, {"assistant", "daisy"}, {"system", "aster"}, {"user", "poppy"}},
             {{"system", "tulip"}, {"system", "daisy"}},
             {{"user", "tulip"}, {"assistant", "daisy"}, {"assistant", "aster"}}}) {
      const std::string prompt = render_chat(format, messages, options);
      for (const Message& message : messages) {
        EXPECT_NE(prompt.find(message.content.get<std::string>()), std::string::npos) << name;
      }
    }
  }
}

TEST(WellKnownTemplates, AFileIsReadAndAnUnknownNameSaysWhatThereIs) {
  const test::TempFolder folder;
  const auto path = folder.path() / "mine.jinja";
  std::ofstream(path) << "[{{ messages[0].content }}]";
  EXPECT_EQ(render_chat(format_of(path.string()), {{"user", "Hi"}}), "[Hi]");
  for (const auto& [wrong, said] : std::map<std::string, std::string>{
           {"chatlm", "did you mean 'chatml'?"},
           {"Gema", "did you mean 'gemma'?"},
           {"/no/such/file", "one of alpaca, chatml, "},
           {"", "there is no chat template ''"},
           {folder.path().string(), "cannot read the chat template"}}) {
    const std::string error = error_of([&, &name = wrong] { find_chat_template(name); });
    EXPECT_NE(error.find(said), std::string::npos) << error;
    EXPECT_EQ(error.find('\n'), std::string::npos);
  }
}

}  // namespace
}  // namespace tessera
