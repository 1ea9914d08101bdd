// Conversations as prompts: the layer between a list of messages and a model's chat template.
#pragma once

#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "checkpoint/chat_templates.h"
#include "text/chat_template.h"
#include "text/template_capabilities.h"
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
  bool add_generation_prompt = true;       // end with the opening of the assistant's turn
  nlohmann::ordered_json tools = nullptr;  // a list of OpenAI function declarations, or null
  // More variables for the template, such as {"enable_thinking": false}. They win over the others.
  nlohmann::ordered_json variables = nlohmann::ordered_json::object();
  // False: "<|im_end|>" in a message, a call, a result or a tool is text, and a control token only
  // where the template itself writes it.
  bool parse_special = true;
};

struct ChatPrompt {
  std::string text;
  std::vector<size_t> literal = {};  // what the messages spell: EncodeOptions::literal
};

// How a template teaches its model to call functions (text/tool_calls.h has examples).
enum class ToolStyle { kHermes, kLlama3, kGemma4 };

// What a model ships for chatting.
struct ChatFormat {
  ChatTemplate source;
  // The texts of these tokens; "" where the model has none.
  std::string bos_token, eos_token;
  TemplateCapabilities capabilities = {};
  ToolStyle tool_style = ToolStyle::kHermes;
  // Whose control tokens messages may spell, and which outlives this; null: nobody's.
  const Tokenizer* tokenizer = nullptr;
};

// What models are given that come without a template: ChatML, the most common format.
// "<|im_start|>user\nHello<|im_end|>\n" and so on. A base model may know nothing of it.
extern const std::string_view kChatMlTemplate;

// A model's formats, each parsed when it is first asked for: a template that does not parse is no
// trouble to those who never chat. Any thread may ask.
class ChatFormats {
 public:
  // `tokenizer` must outlive it.
  ChatFormats(ChatTemplates templates, const Tokenizer& tokenizer)
      : templates_(std::move(templates)), tokenizer_(tokenizer) {}

  // Throw Error for a template that does not parse.
  const ChatFormat& standard() const;
  const ChatFormat& with_tools() const;  // some models have one of its own for that
  // Whether there is one at all: base models have none, and are given kChatMlTemplate.
  bool has_template() const { return templates_.standard.has_value(); }

 private:
  const ChatFormat& get(std::unique_ptr<const ChatFormat>& format, const std::string* source) const;

  ChatTemplates templates_;
  const Tokenizer& tokenizer_;
  mutable std::mutex mutex_;
  mutable std::unique_ptr<const ChatFormat> standard_, with_tools_;
};

// The format of a template; of kChatMlTemplate if there is none. Throws Error as above.
ChatFormat make_chat_format(const std::string* source, const Tokenizer& tokenizer);

// The prompt. Messages that the template does not take as they are, such as system messages, become
// such as it takes (fit_messages.h). Throws Error as ChatTemplate::render() does, for instance for
// a conversation that the model's own template wants to begin with the user.
ChatPrompt make_chat_prompt(const ChatFormat& format, const std::vector<Message>& messages,
                            const ChatOptions& options = {});
// Its text.
std::string render_chat(const ChatFormat& format, const std::vector<Message>& messages,
                        const ChatOptions& options = {});

}  // namespace tessera
