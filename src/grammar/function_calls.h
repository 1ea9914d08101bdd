// Answers that are calls of functions, as chat templates teach their models to write them: the name
// of a function and its arguments between fixed texts. The name is one of those given, and the
// arguments fit that function's JSON schema.
#pragma once

#include <string>
#include <vector>

#include "grammar/syntax.h"

namespace tessera {

struct FunctionCalls {
  struct Function {
    std::string name;
    std::string parameters;  // a JSON schema of objects; empty: the function takes none
  };
  std::vector<Function> functions = {};
  // A call is `open`, the name as a JSON string, `between`, the arguments, `close`.
  std::string open, between, close;
  bool quotes_names = true;  // else names stand as they are
  int most = 1;              // calls; at least one is made
  std::string separator = {};
  // What the answer may be instead of calls, at most one of the two: what a grammar in GBNF gives,
  // or a value of a JSON schema.
  std::string or_grammar = {}, or_json_schema = {};
};

namespace grammar {

// Throws Error, naming the function whose parameters are wrong.
Syntax function_calls_syntax(const FunctionCalls& calls);

}  // namespace grammar
}  // namespace tessera
