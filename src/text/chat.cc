#include "text/chat.h"

#include "base/error.h"

namespace tessera {
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
}

}  // namespace tessera
