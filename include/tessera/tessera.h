// Tessera's public API: load a model, generate text. Everything else is private and may change.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/options.h"

namespace tessera {

struct ChatMessage {
  std::string role;  // "system", "user", "assistant", "tool"
  std::string content;
};

// A text that a beam search found.
struct BeamText {
  std::string text;
  std::vector<int32_t> tokens;  // generated, an ending one included
  std::string finish_reason;    // "stop", "length"
  double score = 0;             // by which it was chosen: see GenerateOptions::beams
};

struct Generation {
  std::string text;
  std::vector<int32_t> tokens;  // generated, an ending one included
  std::string finish_reason;    // "stop", "length", "cancelled"
  uint64_t seed = 0;            // with which it can be had again
  int prompt_tokens = 0;
  int cached_tokens = 0;  // of the prompt, found in the prefix cache
  double prefill_ms = 0;  // from the call to the first token
  double decode_ms = 0;   // from the first token to the last
  int steps = 0, drafted = 0, accepted = 0;
  // Of the prediction, if there was one: tokens that the answer has in its order, and the others.
  int accepted_prediction = 0, rejected_prediction = 0;
  // Of a beam search: the best texts, this one first. As many as there were beams, or fewer if a
  // grammar or schema leaves no more.
  std::vector<BeamText> beams = {};
};

// Receives text as it is generated, never half a UTF-8 character; false ends the answer. A beam
// search knows its text only at the end, and gives all of it then.
using TextCallback = std::function<bool(std::string_view text)>;
using BatchTextCallback = std::function<bool(size_t index, std::string_view text)>;

class Branch;
struct Sequence;

// A model with its tokenizer, chat template and KV cache. One thread at a time.
// Every function throws std::runtime_error with a one-line message for bad input.
class LanguageModel {
 public:
  // `reference`: a path, or a name that `tessera pull` put into the cache.
  static LanguageModel load(const std::string& reference, const LoadOptions& options = {});
  ~LanguageModel();
  LanguageModel(LanguageModel&&) noexcept;
  LanguageModel& operator=(LanguageModel&&) noexcept;

  Generation generate(std::string_view prompt, const GenerateOptions& options = {},
                      const TextCallback& on_text = {});
  // The answers to several prompts, in their order, computed together: each is what it would be
  // alone, bit for bit. on_text(index of the prompt, text) is told of all of them.
  std::vector<Generation> generate(const std::vector<std::string>& prompts,
                                   const GenerateOptions& options = {},
                                   const BatchTextCallback& on_text = {});
  Generation chat(const std::vector<ChatMessage>& messages, const GenerateOptions& options = {},
                  const TextCallback& on_text = {});
  // A text to fork, score and go on from.
  Branch branch(std::string_view text);
  // The prompt that chat() would generate from.
  std::string render_chat(const std::vector<ChatMessage>& messages) const;
  // Base models have none: they complete text. What they are asked in a chat is put in ChatML.
  bool has_chat_template() const;

  std::vector<int32_t> tokenize(std::string_view text, bool add_special = true,
                                bool parse_special = true) const;
  std::string detokenize(const std::vector<int32_t>& tokens) const;

  // What the model's authors recommend (generation_config.json, or the same in a GGUF file); what
  // they leave open is as in SamplingOptions. The command line and the server begin with these;
  // GenerateOptions::sampling begins with those.
  const SamplingOptions& recommended_sampling() const;
  // Of the adapters, by their numbers: as their files or folders are called, the second of a name
  // with "-2" behind it.
  std::vector<std::string> lora_names() const;
  int context() const;
  int vocabulary_size() const;
  double load_ms() const;
  std::string description() const;  // architecture, size, backend

 private:
  friend class Branch;
  struct Impl;
  explicit LanguageModel(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

// A text whose keys and values the model keeps, so that going on from it costs only what is new.
// Forks share them, block for block, and copy a block when they write to it; under memory pressure
// they are dropped and computed again when needed, which changes no result. Keeps its model alive.
// The same thread as the model's.
class Branch {
 public:
  Branch(const Branch&) = default;  // fork()
  Branch(Branch&&) noexcept = default;
  // By swapping, so that what the left side kept goes before its model does.
  Branch& operator=(Branch other) noexcept {
    model_.swap(other.model_);
    tokens_.swap(other.tokens_);
    kept_.swap(other.kept_);
    return *this;
  }

  // Another text that begins alike. Costs nothing.
  Branch fork() const;
  // Reads more text. Tokens are made of it alone: it is not joined to the text before.
  void append(std::string_view text);
  // The natural logarithm of the probability that the text goes on with `continuation`: the sum
  // over its tokens, before temperature and filters. The branch stays as it is.
  double score(std::string_view continuation) const;
  // Generates what follows, which becomes part of the branch, an ending token included.
  Generation generate(const GenerateOptions& options = {}, const TextCallback& on_text = {});
  // The same for several branches of one model at once, in one batch: each is what it would be
  // alone. Branch i has the seed `seed` + i, so that forks differ.
  static std::vector<Generation> generate(std::span<Branch> branches,
                                          const GenerateOptions& options = {},
                                          const BatchTextCallback& on_text = {});

  const std::vector<int32_t>& tokens() const { return tokens_; }

 private:
  friend class LanguageModel;
  Branch(std::shared_ptr<LanguageModel::Impl> model, std::vector<int32_t> tokens);
  void compute();

  std::shared_ptr<LanguageModel::Impl> model_;
  std::vector<int32_t> tokens_;
  std::shared_ptr<Sequence> kept_;  // whose blocks hold keys and values of tokens_
};

}  // namespace tessera
