// Everything that one loaded model file gives: what the public API wraps and the tools look into.
//
// A Model has weights and forward(): rows in, logits out; it knows no text and no requests.
//
// An Engine runs many sequences over one Model: scheduling, KV blocks, drafting, sampling. Tokens.
//
// A Session is a Model with its tokenizer, chat formats and constraints: what a file holds, loaded.
//
// A LanguageModel is the public API: a Session and an Engine, text in, text out.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "devices/device.h"
#include "engine/adapters.h"
#include "engine/engine.h"
#include "grammar/structured_output.h"
#include "model/model.h"
#include "model/next_tokens.h"
#include "tessera/tessera.h"
#include "text/chat.h"
#include "text/tokenizer.h"
#include "text/vocabulary_bridge.h"

namespace tessera {

struct Session {
  std::shared_ptr<const Checkpoint> checkpoint;
  std::unique_ptr<const Tokenizer> tokenizer;
  std::unique_ptr<StructuredOutput> structured_output;
  std::unique_ptr<ChatFormats> chat_formats;
  std::unique_ptr<Model> model;
  std::unique_ptr<Model> draft;                          // null: none
  std::unique_ptr<const VocabularyBridge> draft_bridge;  // null: it has the model's vocabulary
  std::unique_ptr<MedusaHeads> heads;                    // null: none
  std::unique_ptr<NextTokens> next_tokens;               // null: not loaded
  std::vector<LoadedAdapter> adapters;                   // that the model has, by their numbers
  std::shared_ptr<ThreadPool> pool;
  KvFormat kv_format = KvFormat::kF16;
  SamplingOptions sampling;  // that the model comes with, for requests that do not say
  double load_ms = 0;

  // `limits`: of the model; its context is that of the options. `device`: by default the CPU with
  // options.threads.
  static Session load(const std::string& reference, const LoadOptions& options = {},
                      Model::Limits limits = {}, std::optional<Device> device = {});
  // Without options, an engine whose KV store holds one sequence of the model's context. Its KV
  // format is that of the LoadOptions.
  std::unique_ptr<Engine> make_engine(Engine::Options options = {}) const;
};

}  // namespace tessera
