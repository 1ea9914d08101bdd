// How an answer is made and when it ends: the fields that chats and completions share.
#include <algorithm>
#include <charconv>
#include <limits>

#include "decode/decoder.h"
#include "serve/api/field_table.h"
#include "serve/api/request_parts.h"
#include "serve/http/api_error.h"

namespace tessera::serve {
namespace {

constexpr int kMost = std::numeric_limits<int>::max();
constexpr int kMaxStops = 16;
constexpr size_t kMaxStopBytes = 1024;
constexpr size_t kMaxStopTokens = 256;
constexpr size_t kMaxBadWords = 64;
constexpr size_t kMaxLogitBiases = 1024;

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

// vLLM's name of the penalty goes with the whole text, llama.cpp's with its last 64 tokens.
void parse_repetition_penalty(const Fields& fields, SamplingOptions& sampling) {
  constexpr int kLlamaWindow = 64;
  const auto penalty = [&](std::string_view name) {
    return static_cast<float>(fields.number(name, sampling.repetition_penalty, 0.01, 100));
  };
  if (fields.has("repetition_penalty") && fields.has("repeat_penalty")) {
    bad_request("repeat_penalty",
                "'repeat_penalty' and 'repetition_penalty' are given, expected one of them");
  }
  if (fields.has("repeat_penalty")) sampling.penalty_window = kLlamaWindow;
  sampling.repetition_penalty =
      penalty(fields.has("repeat_penalty") ? "repeat_penalty" : "repetition_penalty");
  sampling.penalty_window = fields.integer("repeat_last_n", sampling.penalty_window, -1, kMost);
}

// What is not given is as everywhere (SamplingOptions).
SamplingOptions parse_sampling(const Fields& fields, SamplingOptions sampling) {
  const auto number = [&](std::string_view name, double otherwise, double least, double most) {
    return static_cast<float>(fields.number(name, otherwise, least, most));
  };
  sampling.penalty_window = -1;  // as vLLM counts it
  sampling.temperature = number("temperature", sampling.temperature, 0, 100);
  sampling.top_k = fields.integer("top_k", sampling.top_k, -1, 1 << 30);
  if (sampling.top_k < 0) sampling.top_k = 0;  // vLLM's word for off
  sampling.top_p = number("top_p", sampling.top_p, 0, 1);
  if (sampling.top_p == 0) sampling.top_k = 1, sampling.top_p = 1;  // the smallest set of all
  sampling.min_p = number("min_p", sampling.min_p, 0, 1);
  sampling.presence_penalty = number("presence_penalty", sampling.presence_penalty, -2, 2);
  sampling.frequency_penalty = number("frequency_penalty", sampling.frequency_penalty, -2, 2);
  parse_repetition_penalty(fields, sampling);
  sampling.logit_bias = parse_logit_bias(fields);
  const auto seed = fields.integer("seed", std::numeric_limits<int64_t>::min(),
                                   std::numeric_limits<int64_t>::max());
  if (seed && *seed != -1) sampling.seed = static_cast<uint64_t>(*seed);  // -1: llama.cpp's "any"
  return sampling;
}

// Texts that are not empty: an empty one says nothing.
std::vector<std::string> parse_words(const Fields& fields, std::string_view name, size_t most) {
  std::vector<std::string> words = fields.texts(name, most);
  std::erase_if(words, [](const std::string& word) { return word.empty(); });
  for (const std::string& word : words) {
    if (word.size() > kMaxStopBytes) {
      bad_request(fields.path(name), "'{}' has a string of {} bytes, expected at most {}",
                  fields.path(name), word.size(), kMaxStopBytes);
    }
  }
  return words;
}

// When the answer ends. Of several names for the longest answer, the newest of OpenAI's wins.
void parse_ends(const Fields& fields, GenerationParameters& p) {
  for (const char* name : {"n_predict", "max_tokens", "max_completion_tokens"}) {
    p.has_max_tokens |= fields.has(name);
    p.generate.max_tokens = fields.integer(name, p.generate.max_tokens, -1, kMost);
  }
  p.generate.min_tokens = fields.integer("min_tokens", 0, 0, kMost);
  if (p.generate.max_tokens >= 0 && p.generate.min_tokens > p.generate.max_tokens) {
    bad_request("min_tokens", "'min_tokens' is {}, more than the {} tokens that there may be",
                p.generate.min_tokens, p.generate.max_tokens);
  }
  p.generate.stop = parse_words(fields, "stop", kMaxStops);
  if (const Json* tokens = fields.find("stop_token_ids")) {
    if (!tokens->is_array()) fields.wrong_type("stop_token_ids", "a list of token ids");
    if (tokens->size() > kMaxStopTokens) {
      bad_request("stop_token_ids", "'stop_token_ids' has {} entries, expected at most {}",
                  tokens->size(), kMaxStopTokens);
    }
    p.generate.stop_tokens = parse_tokens(fields, "stop_token_ids", *tokens);
  }
  p.generate.bad_words = parse_words(fields, "bad_words", kMaxBadWords);
  p.generate.ignore_eos = fields.boolean("ignore_eos", false);
}

bool is_schema(const Json* schema) {
  return schema != nullptr && (schema->is_object() || schema->is_boolean());
}

// The JSON schema of a response_format; empty for plain text.
std::string parse_response_format(const Fields& format) {
  kResponseFormatFields.check(format);
  const std::string type = format.required_text("type");
  const Json* schema = format.find("schema");
  if (schema != nullptr && type != "json_object") {
    bad_request(format.path("schema"), "'{}' needs the type json_object", format.path("schema"));
  }
  if (format.has("json_schema") && type != "json_schema") {
    bad_request(format.path("json_schema"), "'{}' needs the type json_schema",
                format.path("json_schema"));
  }
  if (type == "text") return "";
  if (type == "json_object") {  // with a schema, as llama.cpp has it
    if (schema == nullptr) return R"({"type":"object"})";
    if (!is_schema(schema)) format.wrong_type("schema", "a JSON schema");
    return to_text(*schema);
  }
  if (type == "json_schema") {
    const auto wrapper = format.object("json_schema");
    if (!wrapper) format.wrong_type("json_schema", "an object with a schema");
    kJsonSchemaFields.check(*wrapper);
    schema = wrapper->find("schema");
    if (!is_schema(schema)) wrapper->wrong_type("schema", "a JSON schema");
    return to_text(*schema);
  }
  bad_request(format.path("type"), "'{}' is '{}', expected text, json_object or json_schema",
              format.path("type"), type);
}

// OpenAI's response_format, and llama.cpp's json_schema and grammar beside it.
void parse_form(const Fields& fields, GenerationParameters& p) {
  const auto take = [&](std::string_view name, std::string& form, std::string text) {
    if (text.empty()) return;
    if (p.has_form()) {
      bad_request(std::string(name), "'{}' and '{}' are given, expected one of them", p.form_field,
                  name);
    }
    p.form_field = name;
    form = std::move(text);
  };
  if (const auto format = fields.object("response_format"))
    take("response_format", p.generate.json_schema, parse_response_format(*format));
  if (const Json* schema = fields.find("json_schema")) {
    if (!is_schema(schema)) fields.wrong_type("json_schema", "a JSON schema");
    take("json_schema", p.generate.json_schema, to_text(*schema));
  }
  take("grammar", p.generate.grammar, fields.text("grammar"));
}

// How many beams; 1: no search. vLLM's names: use_beam_search, and best_of or n for the beams, as
// its versions have it; beam_width; Hugging Face's is num_beams.
int parse_width(const Fields& fields, int n) {
  int width = 0;
  std::string_view named;
  for (const std::string_view name : {"num_beams", "beam_width", "best_of"}) {
    if (!fields.has(name) || (name == "best_of" && !fields.boolean("use_beam_search", false)))
      continue;
    const int given = fields.integer(name, 1, 1, kMaxBeams);
    if (width > 0 && given != width) {
      bad_request(std::string(name), "'{}' is {}, but '{}' is {}", name, given, named, width);
    }
    width = given;
    named = name;
  }
  if (!fields.has("use_beam_search")) return std::max(1, width);
  if (!fields.boolean("use_beam_search", false)) {
    if (width > 1) {
      bad_request(std::string(named), "'{}' is {}, but 'use_beam_search' is false", named, width);
    }
    return 1;
  }
  return width > 0 ? width : n;
}

void parse_beams(const Fields& fields, GenerationParameters& p) {
  GenerateOptions& generate = p.generate;
  generate.beams = parse_width(fields, p.n);
  constexpr double kMostPenalty = 100;
  generate.length_penalty = fields.number("length_penalty", 1, -kMostPenalty, kMostPenalty);
  if (const Json* early = fields.find("early_stopping")) {
    if (early->is_boolean()) {
      generate.early_stopping = early->get<bool>() ? EarlyStopping::kYes : EarlyStopping::kNo;
    } else if (*early == "never") {
      generate.early_stopping = EarlyStopping::kNever;
    } else {
      fields.wrong_type("early_stopping", R"(true, false or "never")");
    }
  }
  if (generate.beams == 1) {
    const bool penalizes = generate.length_penalty != 1;
    if (penalizes || generate.early_stopping != EarlyStopping::kNo) {
      const char* name = penalizes ? "length_penalty" : "early_stopping";
      bad_request(name, "'{}' needs a beam search (use_beam_search)", name);
    }
    return;
  }
  if (p.n > generate.beams) {
    bad_request("n", "'n' is {}, but a search of {} beams has no more answers", p.n,
                generate.beams);
  }
  if (p.stream) {
    bad_request("stream", "'stream' cannot be: a beam search knows its texts only at the end");
  }
  if (fields.number("temperature", 0, 0, 100) > 0) {
    bad_request("temperature", "'temperature' is {}, but a beam search draws nothing: expected 0",
                generate.sampling.temperature);
  }
  generate.sampling.temperature = 0;
  if (fields.has("decoder") && generate.decoder != kPlainDecoder) {
    bad_request("decoder", "'decoder' is '{}', but a beam search takes plain only",
                generate.decoder);
  }
  generate.decoder = kPlainDecoder;
}

// {"type": "content", "content": TEXT, or a list of {"type": "text", "text": TEXT}}.
std::string parse_prediction(const Fields& prediction) {
  kPredictionFields.check(prediction);
  const std::string type = prediction.required_text("type");
  if (type != "content") {
    bad_request(prediction.path("type"), "'{}' is '{}', expected content", prediction.path("type"),
                type);
  }
  const Json* content = prediction.find("content");
  if (content == nullptr) prediction.wrong_type("content", "a text or a list of parts");
  if (content->is_string()) return content->get<std::string>();
  std::string text;
  if (!content->is_array()) prediction.wrong_type("content", "a text or a list of parts");
  for (const Json& part : *content) {
    const bool is_text = part.is_object() && part.value("type", "") == "text" &&
                         part.contains("text") && part.at("text").is_string();
    if (!is_text) prediction.wrong_type("content", "a list of parts of type text");
    text += part.at("text").get<std::string>();
  }
  return text;
}

}  // namespace

PromptCut parse_prompt_cut(const Fields& fields) {
  PromptCut cut;
  cut.add_special = fields.boolean("add_special_tokens", true);
  cut.parse_special = fields.optional_boolean("parse_special");
  cut.last = fields.integer("truncate_prompt_tokens", 0, -1, kMost);
  if (fields.has("truncate_prompt_tokens") && cut.last == 0) {
    bad_request("truncate_prompt_tokens",
                "'truncate_prompt_tokens' is 0, expected 1 or more, or -1 for what fits");
  }
  return cut;
}

// llama.cpp's [{"id": 0, "scale": 0.5}, ...], or with "name" for "id".
LoraChoices parse_lora(const Fields& fields) {
  constexpr size_t kMaxAdapters = 256;
  const Json* list = fields.find("lora");
  if (list == nullptr) return std::nullopt;
  if (!list->is_array()) fields.wrong_type("lora", "a list of objects with id or name, and scale");
  if (list->size() > kMaxAdapters) {
    bad_request("lora", "'lora' has {} entries, expected at most {}", list->size(), kMaxAdapters);
  }
  std::vector<LoraChoice> choices;
  for (const Json& entry : *list) {
    if (!entry.is_object()) fields.wrong_type("lora", "a list of objects");
    const Fields one(entry, "lora.");
    kLoraFields.check(one);
    if (one.has("id") == one.has("name")) {
      bad_request("lora", "an entry of 'lora' has {}, expected one of 'id' and 'name'",
                  one.has("id") ? "both" : "neither");
    }
    if (!one.has("scale")) bad_request("lora.scale", "'lora.scale' is missing");
    choices.push_back({.id = one.integer("id", -1, 0, kMost),
                       .name = one.text("name"),
                       .scale = static_cast<float>(one.number("scale", 1, -1000, 1000))});
  }
  return choices;
}

GenerationParameters parse_generation(const Fields& fields, const SamplingOptions& sampling) {
  GenerationParameters p;
  p.model = fields.text("model");
  p.prompt = parse_prompt_cut(fields);
  p.n = fields.integer("n", 1, 1, kMaxChoices);
  p.stream = fields.boolean("stream", false);
  if (const auto options = fields.object("stream_options")) {
    if (!p.stream) bad_request("stream_options", "'stream_options' needs 'stream' to be true");
    kStreamOptionsFields.check(*options);
    p.include_usage = options->boolean("include_usage", false);
  }
  parse_ends(fields, p);
  p.generate.sampling = parse_sampling(fields, sampling);
  parse_form(fields, p);
  p.priority = fields.integer("priority", 0, -kMaxPriority, kMaxPriority);
  p.cache_salt = parse_cache_salt(fields);
  p.lora = parse_lora(fields);
  p.generate.decoder = fields.text("decoder", p.generate.decoder);
  parse_beams(fields, p);
  if (const auto prediction = fields.object("prediction"))
    p.generate.prediction = parse_prediction(*prediction);
  return p;
}

}  // namespace tessera::serve
