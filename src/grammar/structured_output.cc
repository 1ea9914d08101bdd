#include "grammar/structured_output.h"

#include <mutex>
#include <utility>

#include "base/error.h"
#include "base/function_ref.h"
#include "grammar/gbnf.h"
#include "grammar/grammar.h"
#include "grammar/json_schema.h"
#include "grammar/shared_grammar.h"
#include "grammar/token_trie.h"

namespace tessera {

using grammar::GrammarCache;
using grammar::SharedGrammar;
using grammar::TokenTrie;

std::shared_ptr<const Grammar> compile_grammar(std::string_view gbnf) {
  return std::make_shared<const Grammar>(grammar::parse_gbnf(gbnf));
}

std::shared_ptr<const Grammar> compile_json_schema(std::string_view schema) {
  const grammar::Syntax syntax = grammar::schema_syntax(schema);
  try {
    return std::make_shared<const Grammar>(syntax);
  } catch (const Error& error) {
    fail("json_schema: as a {}", error.what());
  }
}

std::shared_ptr<const Grammar> compile_function_calls(const FunctionCalls& calls) {
  return std::make_shared<const Grammar>(grammar::function_calls_syntax(calls));
}

std::shared_ptr<const Grammar> json_object_grammar() {
  return compile_json_schema(R"({"type": "object"})");
}

struct StructuredOutput::Impl {
  explicit Impl(const Tokenizer& t) : tokenizer(t) {}

  // `compile` runs without the lock on what is kept: who asks for what is known must not wait for
  // it.
  std::shared_ptr<const ConstraintSource> get(
      const std::string& key, FunctionRef<std::shared_ptr<const Grammar>()> compile) {
    if (auto known = cache->find(key)) return known;
    const std::lock_guard turn(compiling);
    auto known = cache->find(key);  // by now
    return known ? known : make(key, compile);
  }

  std::shared_ptr<SharedGrammar> make(const std::string& key,
                                      FunctionRef<std::shared_ptr<const Grammar>()> compile) {
    auto compiled = compile();
    std::call_once(trie_made, [this] { trie = std::make_shared<const TokenTrie>(tokenizer); });
    if (trie->end_tokens().empty())
      fail("grammar: this model has no token that ends an answer, so no answer can keep to one");
    auto shared = std::make_shared<SharedGrammar>(std::move(compiled), trie, cache);
    cache->keep(key, shared);
    return shared;
  }

  const Tokenizer& tokenizer;
  std::mutex compiling;  // time and memory that not all clients may ask for at once
  std::once_flag trie_made;
  std::shared_ptr<const TokenTrie> trie;
  const std::shared_ptr<GrammarCache> cache = std::make_shared<GrammarCache>();
};

StructuredOutput::StructuredOutput(const Tokenizer& tokenizer)
    : impl_(std::make_unique<Impl>(tokenizer)) {}
StructuredOutput::~StructuredOutput() = default;

std::shared_ptr<const ConstraintSource> StructuredOutput::grammar(std::string_view gbnf) {
  return impl_->get(fmt::format("grammar:{}", gbnf), [&] { return compile_grammar(gbnf); });
}

std::shared_ptr<const ConstraintSource> StructuredOutput::json_schema(std::string_view schema) {
  return impl_->get(fmt::format("json_schema:{}", schema),
                    [&] { return compile_json_schema(schema); });
}

std::shared_ptr<const ConstraintSource> StructuredOutput::json_object() {
  return json_schema(R"({"type": "object"})");
}

std::shared_ptr<const ConstraintSource> StructuredOutput::function_calls(
    const FunctionCalls& calls) {
  std::string key = fmt::format("function_calls:{}", calls.most);
  const auto add = [&](std::string_view part) { key += fmt::format(":{}:{}", part.size(), part); };
  for (const auto& part : {calls.open, calls.between, calls.close, calls.separator,
                           calls.or_grammar, calls.or_json_schema}) {
    add(part);
  }
  for (const auto& [name, parameters] : calls.functions) add(name), add(parameters);
  return impl_->get(key, [&] { return compile_function_calls(calls); });
}

}  // namespace tessera
