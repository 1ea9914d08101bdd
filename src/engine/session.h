// Everything that one loaded model file gives: what the public API wraps and the tools look into.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "checkpoint/checkpoint.h"
#include "engine/engine.h"
#include "grammar/structured_output.h"
#include "model/model.h"
#include "tessera/tessera.h"
#include "text/chat.h"
#include "text/tokenizer.h"

namespace tessera {

KvFormat parse_kv_format(std::string_view name);  // "f16", "q8_0"; Error otherwise
std::string_view to_string(KvFormat format);

struct Session {
  std::shared_ptr<const Checkpoint> checkpoint;
  std::unique_ptr<const Tokenizer> tokenizer;
  std::unique_ptr<StructuredOutput> structured_output;
  std::unique_ptr<Model> model;
  KvFormat kv_format = KvFormat::kF16;
  double load_ms = 0;

  // `limits`: of the model; its context is that of the options. `backend`: nullptr for the CPU with
  // options.threads.
  static Session load(const std::string& reference, const LoadOptions& options = {},
                      Model::Limits limits = {}, std::shared_ptr<Backend> backend = nullptr);
  // Without options, an engine whose KV store holds one sequence of the model's context. Its KV
  // format is that of the LoadOptions.
  std::unique_ptr<Engine> make_engine(Engine::Options options = {}) const;
};

// What `options` hold an answer to; nullptr if nothing. Error if there is something wrong with it.
std::shared_ptr<const ConstraintSource> find_constraint(StructuredOutput& structured_output,
                                                        const GenerateOptions& options);

// Runs one request to its end. `constraint`: see find_constraint().
Generation generate(Engine& engine, const Tokenizer& tokenizer, std::vector<Token> prompt,
                    const GenerateOptions& options, const TextCallback& on_text = {},
                    std::shared_ptr<const ConstraintSource> constraint = {});

}  // namespace tessera
