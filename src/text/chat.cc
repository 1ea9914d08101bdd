#include "text/chat.h"

#include "base/error.h"

namespace tessera {
<<<<<<< HEAD
namespace {

constexpr std::string_view kChatMl =
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

std::string template_source(const GgufMetadata& metadata, std::string_view name) {
  const std::string key = name.empty() ? "tokenizer.chat_template" : fmt::format("tokenizer.chat_template.{}", name);
  if (const auto source = metadata.get_string(key)) return *source;
  if (!name.empty()) fail("the model has no chat template '{}'", name);
  return std::string(kChatMl);
}

}  // namespace

ChatFormat::ChatFormat(const GgufMetadata& metadata, const Tokenizer& tokenizer, std::string_view name)
    : is_fallback_(!metadata.contains("tokenizer.chat_template")),
      template_(template_source(metadata, name)),
      bos_(tokenizer.bos() ? tokenizer.token_text(*tokenizer.bos()) : ""),
      eos_(tokenizer.eos() ? tokenizer.token_text(*tokenizer.eos()) : "") {}

std::string ChatFormat::render(const nlohmann::ordered_json& messages, const nlohmann::ordered_json& tools,
                               bool add_generation_prompt) const {
  nlohmann::ordered_json variables = {{"messages", messages},
                                      {"add_generation_prompt", add_generation_prompt},
                                      {"bos_token", bos_},
                                      {"eos_token", eos_}};
  if (!tools.is_null()) variables["tools"] = tools;
  return template_.render(variables);
=======

const std::string_view kChatMlTemplate = R"({% for message in messages %}
{{ '<|im_start|>' ~ message.role }}
{% if message.content is string %}
{{ message.content }}
{%- elif message.content %}
{{ message.content | selectattr('type', 'equalto', 'text') | map(attribute='text') | join }}
{%- endif %}
{{ '<|im_end|>' }}
{% endfor %}
{% if add_generation_prompt %}
{{ '<|im_start|>assistant\n' }}
{%- endif %})";

std::string render_chat(const ChatFormat& format, const std::vector<ChatMessage>& messages,
                        const ChatOptions& options) {
  auto list = nlohmann::ordered_json::array();
  for (const ChatMessage& message : messages) {
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
  return format.source.render(variables);
>>>>>>> jinja
}

}  // namespace tessera
