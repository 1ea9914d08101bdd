// Conversations as prompts: the layer between a list of messages and a model's chat template.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/chat_templates.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace tessera {

struct Message {
  std::string role;  // "system", "user", "assistant", "tool"
  nlohmann::ordered_json
      content;  // a string, null, or a list of parts {"type": "text", "text": ...}
  // Further members of the message as OpenAI's API has them: tool_calls, tool_call_id, name,
  // reasoning_content. Templates read those that they know.
  nlohmann::ordered_json extra = nlohmann::ordered_json::object();
};

struct ChatOptions {
  bool add_generation_prompt = true;  // end with the opening of the assistant's turn
  nlohmann::ordered_json tools;       // a list of OpenAI function declarations, or null
  // More variables for the template, such as {"enable_thinking": false}. They win over the others.
  nlohmann::ordered_json variables = nlohmann::ordered_json::object();
};

// What a model ships for chatting.
struct ChatFormat {
  ChatTemplate source;
  // The texts of these tokens; "" where the model has none.
  std::string bos_token, eos_token;
};

// What models are given that come without a template: ChatML, the most common format.
// "<|im_start|>user\nHello<|im_end|>\n" and so on. A base model may know nothing of it.
extern const std::string_view kChatMlTemplate;

// The source of the standard template, or of the one with that name. nullopt if the model has no
// template at all; Error if it has none of that name.
std::optional<std::string> find_chat_template(const ChatTemplates& templates,
                                              std::string_view name = {});

// find_chat_template() or else kChatMlTemplate, and the special tokens. Throws Error for a template
// that does not parse.
ChatFormat load_chat_format(const ChatTemplates& templates, const Tokenizer& tokenizer,
                            std::string_view name = {});

// The prompt. Throws Error as ChatTemplate::render() does, for instance for roles in an order that
// the model forbids.
std::string render_chat(const ChatFormat& format, const std::vector<Message>& messages,
                        const ChatOptions& options = {});

// The tokens of a prompt, rendered or not. A template may have written the bos token itself: it
// does not stand there twice.
std::vector<Token> encode_prompt(const Tokenizer& tokenizer, std::string_view prompt,
                                 bool parse_special = true);

}  // namespace tessera
