// From messages to the prompt that a model was trained on.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "files/gguf.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace tessera {

// A model's own chat template with what it needs to know of the tokenizer.
class ChatFormat {
 public:
  // Takes tokenizer.chat_template, or tokenizer.chat_template.NAME if `name` is given. A model that
  // ships none is talked to in ChatML, which most chat models understand. Throws Error if the
  // template does not parse or there is none of that name.
  ChatFormat(const GgufMetadata& metadata, const Tokenizer& tokenizer, std::string_view name = "");

  // `messages`: an array of {"role", "content", ...}; `tools`: an array, or null. With
  // `add_generation_prompt` the answer's turn is opened. Throws Error if the template refuses them.
  std::string render(const nlohmann::ordered_json& messages, const nlohmann::ordered_json& tools = nullptr,
                     bool add_generation_prompt = true) const;

  bool is_fallback() const { return is_fallback_; }

 private:
  bool is_fallback_;
  ChatTemplate template_;
  std::string bos_, eos_;
};

}  // namespace tessera
