// What a checkpoint says about chatting.
#include "text/chat.h"

namespace tessera {

namespace {

ToolStyle tool_style_of(std::string_view source) {
  const auto has = [&](std::string_view text) { return source.find(text) != source.npos; };
  if (has("<|tool_call>call:")) return ToolStyle::kGemma4;
  const bool llama = has("<|python_tag|>") || (has("ipython") && has("\"parameters\""));
  return llama && !has("<tool_call>") ? ToolStyle::kLlama3 : ToolStyle::kHermes;
}

}  // namespace

ChatFormat make_chat_format(const std::string* source, const Tokenizer& tokenizer) {
  const std::string_view text = source != nullptr ? std::string_view(*source) : kChatMlTemplate;
  const auto text_of = [&](std::optional<Token> token) {
    return token ? tokenizer.token_text(*token) : std::string();
  };
  ChatFormat format{.source = ChatTemplate(text),
                    .bos_token = text_of(tokenizer.bos()),
                    .eos_token = text_of(tokenizer.eos()),
                    .tool_style = tool_style_of(text),
                    .tokenizer = &tokenizer};
  format.capabilities = probe_template(format.source, format.bos_token, format.eos_token);
  return format;
}

const ChatFormat& ChatFormats::standard() const {
  return get(standard_, templates_.standard ? &*templates_.standard : nullptr);
}

const ChatFormat& ChatFormats::with_tools() const {
  const auto found = templates_.named.find("tool_use");
  return found == templates_.named.end() ? standard() : get(with_tools_, &found->second);
}

const ChatFormat& ChatFormats::get(std::unique_ptr<const ChatFormat>& format,
                                   const std::string* source) const {
  const std::lock_guard lock(mutex_);
  if (format == nullptr)
    format = std::make_unique<const ChatFormat>(make_chat_format(source, tokenizer_));
  return *format;
}

}  // namespace tessera
