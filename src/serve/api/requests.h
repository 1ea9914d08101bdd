// The requests of the API as types: everything that can be checked without a model is checked here.
//
// Fields of OpenAI's API, and those that vLLM's and llama.cpp's users know beside them:
// field_table.h says which are taken.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "engine/sequence.h"
#include "serve/http/json.h"
#include "tessera/options.h"
#include "text/chat.h"

namespace tessera::serve {

inline constexpr int kMaxChoices = 128;  // of one request: prompts times n
inline constexpr int kMaxInputs = 2048;  // to embeddings, as at OpenAI
inline constexpr int kMaxTopLogprobs = 20;

// From a text to the tokens that the model reads.
struct PromptCut {
  bool add_special = true;
  int last = 0;  // only so many tokens, the last ones; 0: all; -1: as many as fit
  std::optional<bool> parse_special = {};  // GenerateOptions; nullopt: as the server was started
};

// That an answer goes through a loaded adapter, by its number or its name, and by how much.
struct LoraChoice {
  int id = -1;  // -1: it is named
  std::string name = {};
  float scale = 0;
};
// Without a list, those that the server was started with.
using LoraChoices = std::optional<std::vector<LoraChoice>>;

// What chats and completions have in common.
struct GenerationParameters {
  std::string model;  // empty: whatever is served
  LoraChoices lora;
  PromptCut prompt;
  GenerateOptions generate;  // max_tokens -1: as many as the context holds
  bool has_max_tokens = false;
  int n = 1;
  bool stream = false, include_usage = false;
  int top_logprobs = -1;         // -1: no logprobs
  bool prompt_logprobs = false;  // of an echoed prompt too
  int priority = 0;
  std::string cache_salt = {};
  std::string form_field = {};  // which holds the answer to a form, if one does

  bool has_form() const { return !generate.grammar.empty() || !generate.json_schema.empty(); }
};

enum class ToolChoice { kNone, kAuto, kRequired, kNamed };

// A conversation, and how it becomes a prompt.
struct ChatRequest {
  GenerationParameters parameters;
  std::vector<Message> messages;
  std::string chat_template = {};  // empty: the model's
  bool add_generation_prompt = true;
  bool continue_final_message = false;  // the answer goes on with the last message
  Json tools = nullptr;                 // a list of function declarations, or null
  ToolChoice tool_choice = ToolChoice::kNone;
  std::string tool_name = {};  // kNamed
  bool parallel_tool_calls = true;
  bool tells_thoughts = true;                // reasoning_format is not "none"
  Json template_variables = Json::object();  // chat_template_kwargs
};

// A text, or the tokens themselves.
using Prompt = std::variant<std::string, std::vector<Token>>;

struct CompletionRequest {
  GenerationParameters parameters;
  std::vector<Prompt> prompts;
  bool echo = false;
};

struct EmbeddingRequest {
  std::string model;
  PromptCut prompt;
  std::vector<Prompt> inputs;
  bool base64 = false;
  std::optional<Pooling> pooling = {};  // none: what the model asks for
  LoraChoices lora = {};
  std::string cache_salt = {};
};

struct TokenizeRequest {
  std::string model;
  PromptCut prompt;
  std::string text = {};
  std::optional<ChatRequest> chat = {};  // if any, instead of the text
};

struct DetokenizeRequest {
  std::string model;
  std::vector<Token> tokens;
};

// All throw ApiError.
// `sampling`: of a request that does not say.
ChatRequest parse_chat_request(std::string_view body, const SamplingOptions& sampling = {});
CompletionRequest parse_completion_request(std::string_view body,
                                           const SamplingOptions& sampling = {});
EmbeddingRequest parse_embedding_request(std::string_view body);
TokenizeRequest parse_tokenize_request(std::string_view body);
DetokenizeRequest parse_detokenize_request(std::string_view body);

}  // namespace tessera::serve
