#include "serve/api/requests.h"

#include <algorithm>

#include "serve/api/field_table.h"
#include "serve/api/request_parts.h"
#include "serve/http/api_error.h"

namespace tessera::serve {
namespace {

void parse_tools(const Fields& fields, ChatRequest& request) {
  const Json* tools = fields.find("tools");
  if (tools != nullptr) {
    if (!tools->is_array()) fields.wrong_type("tools", "a list");
    for (const Json& tool : *tools) {
      if (!tool.is_object()) fields.wrong_type("tools", "a list of objects");
      const Fields entry(tool, "tools.");
      if (entry.required_text("type") != "function") {
        bad_request("tools", "'tools' has one of the type '{}', expected 'function'",
                    entry.text("type"));
      }
      const auto function = entry.object("function");
      if (!function) entry.wrong_type("function", "an object");
      if (function->required_text("name").empty()) {
        bad_request("tools", "a tool has an empty name");
      }
      function->object("parameters");  // for its error
    }
    if (!tools->empty()) request.tools = *tools;
  }
  request.tool_choice = request.tools.is_null() ? ToolChoice::kNone : ToolChoice::kAuto;
  const Json* choice = fields.find("tool_choice");
  if (choice == nullptr) return;
  if (choice->is_string()) {
    const auto text = choice->get<std::string>();
    if (text == "none") {
      request.tool_choice = ToolChoice::kNone;
    } else if (text == "required") {
      request.tool_choice = ToolChoice::kRequired;
    } else if (text != "auto") {
      bad_request("tool_choice",
                  "'tool_choice' is '{}', expected none, auto, required or a function", text);
    }
  } else {
    const auto object = fields.object("tool_choice");
    const auto function = object->object("function");
    if (!function) object->wrong_type("function", "an object");
    request.tool_choice = ToolChoice::kNamed;
    request.tool_name = function->required_text("name");
  }
  if (request.tools.is_null() && request.tool_choice >= ToolChoice::kRequired) {
    bad_request("tool_choice", "'tool_choice' asks for a tool, but 'tools' has none");
  }
  if (request.tool_choice == ToolChoice::kNamed) {
    for (const Json& tool : request.tools) {
      if (tool["function"]["name"] == request.tool_name) return;
    }
    bad_request("tool_choice", "'tool_choice' names '{}', which is not in 'tools'",
                request.tool_name);
  }
}

// A conversation, and how it becomes a prompt.
void parse_conversation(const Fields& fields, ChatRequest& request) {
  request.messages = parse_messages(fields);
  parse_tools(fields, request);
  request.chat_template = fields.text("chat_template");
  if (fields.object("chat_template_kwargs"))
    request.template_variables = *fields.find("chat_template_kwargs");
  request.continue_final_message = fields.boolean("continue_final_message", false);
  request.add_generation_prompt =
      fields.boolean("add_generation_prompt", !request.continue_final_message);
  if (!request.continue_final_message) return;
  if (request.add_generation_prompt) {
    bad_request("continue_final_message",
                "'continue_final_message' and 'add_generation_prompt' exclude each other");
  }
  const Message& last = request.messages.back();
  if (last.role != "assistant" || last.extra.contains("tool_calls")) {
    bad_request("continue_final_message",
                "'continue_final_message' needs a last message of the assistant, of text alone");
  }
}

}  // namespace

ChatRequest parse_chat_request(std::string_view body, const SamplingOptions& sampling) {
  const Json json = parse_object(body);
  const Fields fields(json);
  kChatFields.check(fields);
  ChatRequest request{.parameters = parse_generation(fields, sampling), .messages = {}};
  parse_conversation(fields, request);
  request.parallel_tool_calls = fields.boolean("parallel_tool_calls", true);
  const std::string thoughts = fields.text("reasoning_format");
  if (!thoughts.empty() && thoughts != "auto" && thoughts != "none") {
    bad_request("reasoning_format", "'reasoning_format' is '{}', expected auto or none", thoughts);
  }
  request.tells_thoughts = thoughts != "none";
  const bool logprobs = fields.boolean("logprobs", false);
  const int top = fields.integer("top_logprobs", 0, 0, kMaxTopLogprobs);
  if (top > 0 && !logprobs) {
    bad_request("top_logprobs", "'top_logprobs' needs 'logprobs' to be true");
  }
  if (logprobs) request.parameters.top_logprobs = top;
  return request;
}

CompletionRequest parse_completion_request(std::string_view body, const SamplingOptions& sampling) {
  const Json json = parse_object(body);
  const Fields fields(json);
  kCompletionFields.check(fields);
  CompletionRequest request{.parameters = parse_generation(fields, sampling),
                            .prompts = parse_prompts(fields, "prompt"),
                            .echo = fields.boolean("echo", false)};
  GenerationParameters& p = request.parameters;
  constexpr int kDefaultTokens = 16;  // OpenAI's
  if (!p.has_max_tokens) p.generate.max_tokens = std::max(kDefaultTokens, p.generate.min_tokens);
  if (const auto top = fields.integer("logprobs", 0, kMaxTopLogprobs)) {
    p.top_logprobs = static_cast<int>(*top);
  }
  p.prompt_logprobs = request.echo && p.top_logprobs >= 0;
  if (p.generate.beams == 1 && fields.integer("best_of", p.n, 1, kMaxChoices) != p.n) {
    bad_request("best_of", "'best_of' other than 'n' needs a beam search (use_beam_search)");
  }
  if (request.prompts.size() * p.n > kMaxChoices) {
    bad_request("prompt", "{} prompts with n = {} are more than {} answers", request.prompts.size(),
                p.n, kMaxChoices);
  }
  return request;
}

EmbeddingRequest parse_embedding_request(std::string_view body) {
  const Json json = parse_object(body);
  const Fields fields(json);
  kEmbeddingFields.check(fields);
  EmbeddingRequest request{.model = fields.text("model"),
                           .prompt = parse_prompt_cut(fields),
                           .inputs = parse_prompts(fields, "input")};
  if (request.inputs.size() > kMaxInputs) {
    bad_request("input", "'input' has {} texts, expected at most {}", request.inputs.size(),
                kMaxInputs);
  }
  const std::string encoding = fields.text("encoding_format", "float");
  if (encoding != "float" && encoding != "base64") {
    bad_request("encoding_format", "'encoding_format' is '{}', expected float or base64", encoding);
  }
  request.base64 = encoding == "base64";
  if (fields.has("pooling")) {
    const std::string pooling = fields.text("pooling");
    if (pooling != "mean" && pooling != "cls" && pooling != "last")
      bad_request("pooling", "'pooling' is '{}', expected mean, cls or last", pooling);
    request.pooling = pooling == "mean"  ? Pooling::kMean
                      : pooling == "cls" ? Pooling::kCls
                                         : Pooling::kLast;
  }
  request.cache_salt = parse_cache_salt(fields);
  request.lora = parse_lora(fields);
  return request;
}

TokenizeRequest parse_tokenize_request(std::string_view body) {
  const Json json = parse_object(body);
  const Fields fields(json);
  kTokenizeFields.check(fields);
  TokenizeRequest request{.model = fields.text("model"), .prompt = {}};
  request.prompt.add_special =
      fields.boolean("add_special_tokens", fields.boolean("add_special", true));
  request.prompt.parse_special = fields.optional_boolean("parse_special");
  if (fields.has("messages")) {
    parse_conversation(fields, request.chat.emplace());
    request.chat->parameters.prompt.parse_special = request.prompt.parse_special;
  } else {
    request.text = fields.has("content") ? fields.text("content") : fields.required_text("prompt");
  }
  return request;
}

DetokenizeRequest parse_detokenize_request(std::string_view body) {
  const Json json = parse_object(body);
  const Fields fields(json);
  kDetokenizeFields.check(fields);
  const Json* tokens = fields.find("tokens");
  if (tokens == nullptr || !tokens->is_array()) fields.wrong_type("tokens", "a list of token ids");
  return {.model = fields.text("model"), .tokens = parse_tokens(fields, "tokens", *tokens)};
}

}  // namespace tessera::serve
