// What several requests are made of. For requests.h only.
#pragma once

#include <string>
#include <vector>

#include "serve/api/fields.h"
#include "serve/api/requests.h"

namespace tessera::serve {

// All but what the table of fields says.
GenerationParameters parse_generation(const Fields& fields, const SamplingOptions& sampling);
PromptCut parse_prompt_cut(const Fields& fields);
std::string parse_cache_salt(const Fields& fields);
LoraChoices parse_lora(const Fields& fields);
std::vector<Message> parse_messages(const Fields& fields);
// "input" or "prompt": a string, a list of strings, a list of tokens, or a list of such lists.
std::vector<Prompt> parse_prompts(const Fields& fields, std::string_view name);
std::vector<Token> parse_tokens(const Fields& fields, std::string_view name, const Json& list);

}  // namespace tessera::serve
