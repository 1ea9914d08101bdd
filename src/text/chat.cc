#include "text/chat.h"

#include "base/error.h"
#include "text/fit_messages.h"
#include "text/literal_contents.h"

namespace tessera {
namespace {

// Behind a turn in which the model has called a function and answered, its templates open none.
void open_gemma4_turn(std::string& prompt) {
  if (prompt.ends_with("<turn|>\n")) prompt += "<|turn>model\n";
}

}  // namespace

ChatPrompt make_chat_prompt(const ChatFormat& format, const std::vector<Message>& messages,
                            const ChatOptions& options) {
  auto list = nlohmann::ordered_json::array();
  for (const Message& message : fit_messages(messages, format.capabilities)) {
    nlohmann::ordered_json item = {{"role", message.role}, {"content", message.content}};
    if (message.extra.is_object()) item.update(message.extra);
    list.push_back(std::move(item));
  }
  nlohmann::ordered_json variables = {
      {"messages", std::move(list)},   {"tools", options.tools},
      {"documents", nullptr},          {"add_generation_prompt", options.add_generation_prompt},
      {"bos_token", format.bos_token}, {"eos_token", format.eos_token},
  };
  if (!options.variables.is_object())
    fail("the variables of a chat template must be a JSON object");
  variables.update(options.variables);
  ChatPrompt prompt;
  if (options.parse_special || format.tokenizer == nullptr) {
    prompt.text = format.source.render(variables);
  } else {
    const LiteralContents contents(variables, format.tokenizer->control_spellings());
    prompt.text = format.source.render(variables);
    prompt.literal = contents.unmark(prompt.text);
  }
  if (options.add_generation_prompt && format.tool_style == ToolStyle::kGemma4)
    open_gemma4_turn(prompt.text);
  return prompt;
}

std::string render_chat(const ChatFormat& format, const std::vector<Message>& messages,
                        const ChatOptions& options) {
  return make_chat_prompt(format, messages, options).text;
}

}  // namespace tessera
