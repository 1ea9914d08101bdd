#include "text/chat.h"

#include "base/error.h"

namespace tessera {

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

std::string render_chat(const ChatFormat& format, const std::vector<Message>& messages,
                        const ChatOptions& options) {
  auto list = nlohmann::ordered_json::array();
  for (const Message& message : messages) {
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
}

}  // namespace tessera
