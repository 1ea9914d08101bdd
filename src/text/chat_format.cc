// What a checkpoint says about chatting.
#include "base/error.h"
#include "text/chat.h"

namespace tessera {

std::optional<std::string> find_chat_template(const ChatTemplates& templates,
                                              std::string_view name) {
  if (name.empty()) return templates.standard;
  const auto found = templates.named.find(std::string(name));
  if (found == templates.named.end()) fail("the model has no chat template named '{}'", name);
  return found->second;
}

ChatFormat load_chat_format(const ChatTemplates& templates, const Tokenizer& tokenizer,
                            std::string_view name) {
  const auto source = find_chat_template(templates, name);
  const auto text_of = [&](std::optional<Token> token) {
    return token ? tokenizer.token_text(*token) : std::string();
  };
  return {ChatTemplate(source ? std::string_view(*source) : kChatMlTemplate),
          text_of(tokenizer.bos()), text_of(tokenizer.eos())};
}

std::vector<Token> encode_prompt(const Tokenizer& tokenizer, std::string_view prompt,
                                 bool parse_special) {
  const bool has_bos = parse_special && tokenizer.bos() && tokenizer.adds_bos() &&
                       prompt.starts_with(tokenizer.token_text(*tokenizer.bos()));
  return tokenizer.encode(prompt, {.add_special = !has_bos, .parse_special = parse_special});
}

}  // namespace tessera
