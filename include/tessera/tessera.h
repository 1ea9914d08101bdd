// Tessera's public API: load a model, generate text. Everything else is private and may change.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tessera {

struct LoadOptions {
  int threads = 0;                // 0: one for each core this process may use
  int context = 0;                // tokens; 0: what the model was trained for
  std::string kv_format = "f16";  // or "q8_0"
  // Called while weights are read: (done, total) tensors. May be empty.
  std::function<void(size_t done, size_t total)> on_progress = {};
};

struct ChatMessage {
  std::string role;  // "system", "user", "assistant", "tool"
  std::string content;
};

struct GenerateOptions {
  int max_tokens = -1;       // -1: until the model ends its answer or the context is full
  float temperature = 0.8f;  // 0: greedy
  int top_k = 40;            // 0: off
  float top_p = 0.95f;       // 1: off
  float min_p = 0.05f;       // 0: off
  float repetition_penalty = 1.0f;
  float presence_penalty = 0.0f;
  float frequency_penalty = 0.0f;
  std::unordered_map<int32_t, float> logit_bias = {};  // token id -> added to its logit
  std::vector<std::string> stop = {};                  // the answer ends before the first of these
  uint64_t seed = 0;  // the same seed gives the same text, with every decoder
  std::string decoder = "plain";
  bool ignore_eos = false;
  // The form that the answer must keep to, one of the two; it then always parses, unless max_tokens
  // cuts it off. docs/structured-output.md says what they may hold.
  std::string grammar = {};      // in GBNF, the notation of llama.cpp
  std::string json_schema = {};  // "{}": any JSON; {"type": "object"}: any object
  bool parse_special = true;     // special tokens spelled out in the prompt are control tokens
  std::function<bool()> is_cancelled = {};  // asked after every step; true ends the answer
};

struct Generation {
  std::string text;
  std::vector<int32_t> tokens;  // generated, an ending one included
  std::string finish_reason;    // "stop", "length", "cancelled"
  int prompt_tokens = 0;
  int cached_tokens = 0;  // of the prompt, found in the prefix cache
  double prefill_ms = 0;  // from the call to the first token
  double decode_ms = 0;   // from the first token to the last
  int steps = 0, drafted = 0, accepted = 0;
};

// Receives text as it is generated, never half a UTF-8 character; false ends the answer.
using TextCallback = std::function<bool(std::string_view text)>;

// A model with its tokenizer, chat template and KV cache. One thread at a time.
// Every function throws std::runtime_error with a one-line message for bad input.
class LanguageModel {
 public:
  // `reference`: a path, or a name that `tessera pull` or script/fetch-model put into the cache.
  static LanguageModel load(const std::string& reference, const LoadOptions& options = {});
  ~LanguageModel();
  LanguageModel(LanguageModel&&) noexcept;
  LanguageModel& operator=(LanguageModel&&) noexcept;

  Generation generate(std::string_view prompt, const GenerateOptions& options = {},
                      const TextCallback& on_text = {});
  Generation chat(const std::vector<ChatMessage>& messages, const GenerateOptions& options = {},
                  const TextCallback& on_text = {});
  // The prompt that chat() would generate from.
  std::string render_chat(const std::vector<ChatMessage>& messages) const;

  std::vector<int32_t> tokenize(std::string_view text, bool add_special = true,
                                bool parse_special = true) const;
  std::string detokenize(const std::vector<int32_t>& tokens) const;

  int context() const;
  int vocabulary_size() const;
  double load_ms() const;
  std::string description() const;  // architecture, size, backend

 private:
  struct Impl;
  explicit LanguageModel(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tessera
