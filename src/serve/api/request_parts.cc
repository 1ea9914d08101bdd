#include "serve/api/request_parts.h"

#include <charconv>
#include <limits>

#include "serve/http/api_error.h"

namespace tessera::serve {
namespace {

constexpr int kMaxStops = 16;
constexpr size_t kMaxStopBytes = 1024;
constexpr size_t kMaxLogitBiases = 1024;
constexpr size_t kMaxSaltBytes = 256;

void refuse(const Fields& fields, std::string_view name, std::string_view why) {
  if (fields.has(name)) {
    throw ApiError(400, "invalid_request_error", fmt::format("'{}' {}", name, why),
                   std::string(name), "unsupported_parameter");
  }
}

std::unordered_map<Token, float> parse_logit_bias(const Fields& fields) {
  const Json* biases = fields.find("logit_bias");
  std::unordered_map<Token, float> result;
  if (biases == nullptr) return result;
  if (!biases->is_object()) fields.wrong_type("logit_bias", "an object of token ids and biases");
  if (biases->size() > kMaxLogitBiases) {
    bad_request("logit_bias", "'logit_bias' has {} entries, expected at most {}", biases->size(),
                kMaxLogitBiases);
  }
  for (const auto& [name, value] : biases->items()) {
    Token token = 0;
    const char* end = name.data() + name.size();
    if (const auto [rest, error] = std::from_chars(name.data(), end, token);
        error != std::errc() || rest != end || token < 0) {
      bad_request("logit_bias", "'logit_bias' has the key '{}', expected a token id", name);
    }
    if (!value.is_number() || !(value.get<double>() >= -100 && value.get<double>() <= 100)) {
      bad_request("logit_bias", "'logit_bias' of token {} is {}, expected a number -100 to 100",
                  token, value.is_number() ? value.dump() : value.type_name());
    }
    result[token] = value.get<float>();
  }
  return result;
}

// What is not given is as everywhere (SamplingOptions).
SamplingOptions parse_sampling(const Fields& fields) {
  const auto number = [&](std::string_view name, double otherwise, double least, double most) {
    return static_cast<float>(fields.number(name, otherwise, least, most));
  };
  SamplingOptions sampling{.penalty_window = -1};  // as vLLM counts it
  sampling.temperature = number("temperature", sampling.temperature, 0, 100);
  sampling.top_k = fields.integer("top_k", sampling.top_k, -1, 1 << 30);
  if (sampling.top_k < 0) sampling.top_k = 0;  // vLLM's word for off
  sampling.top_p = number("top_p", sampling.top_p, 0, 1);
  if (sampling.top_p == 0) sampling.top_k = 1, sampling.top_p = 1;  // the smallest set of all
  sampling.min_p = number("min_p", sampling.min_p, 0, 1);
  sampling.presence_penalty = number("presence_penalty", sampling.presence_penalty, -2, 2);
  sampling.frequency_penalty = number("frequency_penalty", sampling.frequency_penalty, -2, 2);
  sampling.repetition_penalty =
      number("repetition_penalty", sampling.repetition_penalty, 0.01, 100);
  sampling.logit_bias = parse_logit_bias(fields);
  const auto seed = fields.integer("seed", std::numeric_limits<int64_t>::min(),
                                   std::numeric_limits<int64_t>::max());
  if (seed && *seed != -1) sampling.seed = static_cast<uint64_t>(*seed);  // -1: llama.cpp's "any"
  return sampling;
}

std::vector<std::string> parse_stops(const Fields& fields) {
  std::vector<std::string> stops = fields.texts("stop", kMaxStops);
  for (const std::string& stop : stops) {
    if (stop.empty() || stop.size() > kMaxStopBytes) {
      bad_request("stop", "'stop' has a string of {} bytes, expected 1 to {}", stop.size(),
                  kMaxStopBytes);
    }
  }
  return stops;
}

void refuse_unsupported(const Fields& fields) {
  for (const char* name :
       {"guided_json", "guided_regex", "guided_grammar", "guided_choice", "structured_outputs"}) {
    refuse(fields, name, "is not supported: use 'response_format' or 'grammar'");
  }
  refuse(fields, "suffix", "is not supported");
  refuse(fields, "functions", "is not supported: use 'tools'");
  refuse(fields, "function_call", "is not supported: use 'tool_choice'");
  refuse(fields, "audio", "is not supported");
}

// OpenAI's response_format, and llama.cpp's grammar beside it.
void parse_form(const Fields& fields, GenerationParameters& p) {
  if (const auto format = fields.object("response_format")) {
    const std::string type = format->required_text("type");
    if (type == "json_object") {
      p.generate.json_schema = R"({"type":"object"})";
    } else if (type == "json_schema") {
      const auto wrapper = format->object("json_schema");
      if (!wrapper) format->wrong_type("json_schema", "an object with a schema");
      const Json* schema = wrapper->find("schema");
      if (schema == nullptr || !(schema->is_object() || schema->is_boolean())) {
        wrapper->wrong_type("schema", "a JSON schema");
      }
      p.generate.json_schema = to_text(*schema);
    } else if (type != "text") {
      bad_request("response_format.type",
                  "'response_format.type' is '{}', expected text, json_object or json_schema",
                  type);
    }
  }
  if (fields.has("grammar")) {
    if (p.has_form()) {
      bad_request("grammar", "'grammar' and 'response_format' are given, expected one of them");
    }
    p.generate.grammar = fields.required_text("grammar");
  }
}

std::string joined_text(const Fields& message, const Json& parts) {
  std::string text;
  for (const Json& part : parts) {
    if (!part.is_object()) message.wrong_type("content", "a list of parts {\"type\", \"text\"}");
    const Fields fields(part, message.path("content."));
    const std::string type = fields.required_text("type");
    if (type == "refusal") continue;
    if (type != "text") {
      bad_request(message.path("content"), "'{}' has a part of type '{}': only text is understood",
                  message.path("content"), type);
    }
    text += fields.required_text("text");
  }
  return text;
}

// Templates want the arguments as the object that OpenAI's API has as a string.
Json parse_tool_calls(const Fields& message, const Json& calls) {
  if (!calls.is_array()) message.wrong_type("tool_calls", "a list");
  Json result = Json::array();
  for (const Json& call : calls) {
    if (!call.is_object()) message.wrong_type("tool_calls", "a list of objects");
    const Fields fields(call, message.path("tool_calls."));
    const auto function = fields.object("function");
    if (!function) fields.wrong_type("function", "an object");
    const Json* arguments = function->find("arguments");
    Json parsed = Json::object();
    if (arguments != nullptr && arguments->is_object()) {
      parsed = *arguments;
    } else if (const std::string text = function->text("arguments"); !text.empty()) {
      try {
        parsed = parse_object(text);
      } catch (const ApiError&) {
        parsed = text;
      }
    }
    result.push_back(
        {{"id", fields.text("id")},
         {"type", "function"},
         {"function", {{"name", function->required_text("name")}, {"arguments", parsed}}}});
  }
  return result;
}

Message parse_message(const Fields& fields) {
  Message message{.role = fields.required_text("role"), .content = nullptr};
  if (message.role == "developer") message.role = "system";
  if (message.role == "function") message.role = "tool";
  if (message.role != "system" && message.role != "user" && message.role != "assistant" &&
      message.role != "tool") {
    bad_request(fields.path("role"), "'{}' is '{}', expected system, user, assistant or tool",
                fields.path("role"), message.role);
  }
  if (const Json* content = fields.find("content")) {
    if (content->is_array()) {
      message.content = joined_text(fields, *content);
    } else {
      message.content = fields.text("content");
    }
  }
  if (const Json* calls = fields.find("tool_calls"); calls != nullptr && !calls->empty()) {
    message.extra["tool_calls"] = parse_tool_calls(fields, *calls);
  }
  for (const char* name : {"tool_call_id", "name", "reasoning_content"}) {
    if (fields.has(name)) message.extra[name] = fields.text(name);
  }
  if (message.content.is_null()) {
    if (message.role != "assistant") fields.wrong_type("content", "a string");
    message.content = "";
  }
  return message;
}

}  // namespace

GenerationParameters parse_generation(const Fields& fields) {
  refuse_unsupported(fields);
  GenerationParameters p;
  p.model = fields.text("model");
  constexpr int kMost = std::numeric_limits<int>::max();
  p.generate.max_tokens = fields.integer("max_tokens", -1, 0, kMost);
  p.generate.max_tokens = fields.integer("max_completion_tokens", p.generate.max_tokens, 0, kMost);
  p.n = fields.integer("n", 1, 1, kMaxChoices);
  p.stream = fields.boolean("stream", false);
  if (const auto options = fields.object("stream_options")) {
    if (!p.stream) bad_request("stream_options", "'stream_options' needs 'stream' to be true");
    p.include_usage = options->boolean("include_usage", false);
  }
  p.generate.stop = parse_stops(fields);
  p.generate.sampling = parse_sampling(fields);
  parse_form(fields, p);
  p.priority = fields.integer("priority", 0, -kMaxPriority, kMaxPriority);
  p.cache_salt = fields.text("cache_salt");
  if (p.cache_salt.size() > kMaxSaltBytes) {
    bad_request("cache_salt", "'cache_salt' has {} bytes, expected at most {}", p.cache_salt.size(),
                kMaxSaltBytes);
  }
  p.generate.ignore_eos = fields.boolean("ignore_eos", false);
  p.generate.decoder = fields.text("decoder", p.generate.decoder);
  return p;
}

std::vector<Message> parse_messages(const Fields& fields) {
  const Json* list = fields.find("messages");
  if (list == nullptr || !list->is_array()) fields.wrong_type("messages", "a list of messages");
  if (list->empty()) bad_request("messages", "'messages' is empty, expected at least one");
  std::vector<Message> messages;
  for (size_t i = 0; i < list->size(); ++i) {
    const std::string path = fmt::format("messages[{}]", i);
    const Json& message = (*list)[i];
    if (!message.is_object()) {
      bad_request(path, "'{}' is {}, expected an object", path, message.type_name());
    }
    messages.push_back(parse_message(Fields(message, path + ".")));
  }
  return messages;
}

std::vector<Token> parse_tokens(const Fields& fields, std::string_view name, const Json& list) {
  std::vector<Token> tokens;
  for (const Json& entry : list) {
    // Within int32 here; within the vocabulary is the engine's to say.
    if (!entry.is_number_integer() || entry.get<int64_t>() < 0 ||
        entry.get<int64_t>() > std::numeric_limits<Token>::max()) {
      fields.wrong_type(name, "a string, strings, or token ids");
    }
    tokens.push_back(entry.get<Token>());
  }
  return tokens;
}

std::vector<Prompt> parse_prompts(const Fields& fields, std::string_view name) {
  const Json* value = fields.find(name);
  constexpr std::string_view kExpected = "a string, strings, or token ids";
  if (value == nullptr) fields.wrong_type(name, kExpected);
  if (value->is_string()) return {value->get<std::string>()};
  if (!value->is_array() || value->empty()) fields.wrong_type(name, kExpected);
  if (value->front().is_number()) return {parse_tokens(fields, name, *value)};
  std::vector<Prompt> prompts;
  for (const Json& entry : *value) {
    if (entry.is_string()) {
      prompts.emplace_back(entry.get<std::string>());
    } else if (entry.is_array()) {
      prompts.emplace_back(parse_tokens(fields, name, entry));
    } else {
      fields.wrong_type(name, kExpected);
    }
  }
  return prompts;
}

}  // namespace tessera::serve
