// Runs requests of the library's kind to their end, on an engine that nobody else steps meanwhile.
#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "grammar/structured_output.h"
#include "tessera/tessera.h"
#include "text/tokenizer.h"

namespace tessera {

// What `options` hold an answer to; nullptr if nothing. Error if there is something wrong with it.
std::shared_ptr<const ConstraintSource> find_constraint(StructuredOutput& structured_output,
                                                        const GenerateOptions& options);

// What the engine is asked for. Where `options` leave the length open, it is what the context
// holds; of a beam search, that has yet to be bounded by Engine::longest_answer().
Request make_request(std::vector<Token> prompt, const GenerateOptions& options,
                     std::shared_ptr<const ConstraintSource> constraint, const Tokenizer& tokenizer,
                     int context);

// One answer that is asked for.
struct GenerateTask {
  Request request;                           // its on_tokens is generate()'s to set
  std::shared_ptr<Sequence> sibling = {};    // see Engine::add()
  std::shared_ptr<Sequence>* finished = {};  // where to leave the sequence, if anybody wants it
};

// The answers to all tasks, in their order, batched as the engine sees fit. `options` say when they
// stop. on_text(index, text) is told of text as it comes; false ends that answer.
std::vector<Generation> generate(
    Engine& engine, const Tokenizer& tokenizer, std::vector<GenerateTask> tasks,
    const GenerateOptions& options,
    const std::function<bool(size_t index, std::string_view text)>& on_text = {});

}  // namespace tessera
