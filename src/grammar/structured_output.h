// Structured output: the grammars and JSON schemas that answers can be held to.
//
//   StructuredOutput structured(tokenizer);                     // one for each model
//   request.constraint = structured.json_schema(text); // Error says what is wrong with it
//
// Such an answer always parses, if it is not cut off by its length.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "grammar/constraint.h"
#include "grammar/function_calls.h"

namespace tessera {

class Grammar;
class Tokenizer;

// Checks and compiles, without a vocabulary. Throw Error with one line for anything malformed, not
// supported or too large.
std::shared_ptr<const Grammar> compile_grammar(std::string_view gbnf);
std::shared_ptr<const Grammar> compile_json_schema(std::string_view schema);
std::shared_ptr<const Grammar> compile_function_calls(const FunctionCalls& calls);
// Any JSON object.
std::shared_ptr<const Grammar> json_object_grammar();

// The constraints of one vocabulary. Compiled grammars and their token masks are kept and shared by
// all requests that ask for the same text. Thread-safe.
class StructuredOutput {
 public:
  // Keeps a reference to `tokenizer`. Costs nothing until the first use.
  explicit StructuredOutput(const Tokenizer& tokenizer);
  ~StructuredOutput();
  StructuredOutput(const StructuredOutput&) = delete;
  StructuredOutput& operator=(const StructuredOutput&) = delete;

  std::shared_ptr<const ConstraintSource> grammar(std::string_view gbnf);
  std::shared_ptr<const ConstraintSource> json_schema(std::string_view schema);
  std::shared_ptr<const ConstraintSource> json_object();
  std::shared_ptr<const ConstraintSource> function_calls(const FunctionCalls& calls);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tessera
