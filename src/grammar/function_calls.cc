#include "grammar/function_calls.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "grammar/gbnf.h"
#include "grammar/json_schema.h"
#include "grammar/json_values.h"
#include "grammar/schema_budget.h"
#include "grammar/schema_document.h"

namespace tessera::grammar {
namespace {

constexpr std::string_view kNoParameters = R"({"type": "object", "properties": {}})";

// Arguments are always an object, whatever the schema says or leaves out.
Syntax arguments_syntax(std::string_view parameters) {
  Json schema = parse_schema(parameters);
  if (!schema.is_object()) fail("expected a JSON schema, found {}", schema.type_name());
  const auto type = schema.find("type");
  const bool fits = type == schema.end() || *type == "object" ||
                    (type->is_array() && std::ranges::find(*type, "object") != type->end());
  if (!fits) fail("'type' is {}, expected \"object\"", printable(type->dump(), 100));
  schema["type"] = "object";
  schema.erase("nullable");
  return schema_syntax(schema.dump());
}

Expr arguments_of(const FunctionCalls::Function& function, Syntax& syntax) {
  try {
    return call(append_rules(
        syntax,
        arguments_syntax(function.parameters.empty() ? kNoParameters
                                                     : std::string_view(function.parameters))));
  } catch (const Error& error) {
    fail("parameters of '{}': {}", printable(function.name, 100), error.what());
  }
}

}  // namespace

Syntax function_calls_syntax(const FunctionCalls& calls) {
  const SchemaBudget budget;  // of all functions together
  Syntax syntax;
  syntax.rules.push_back({.name = "calls"});
  syntax.rules.push_back({.name = "call"});
  std::vector<Expr> any;
  for (const FunctionCalls::Function& function : calls.functions) {
    const std::string name =
        calls.quotes_names ? fmt::format("\"{}\"", json_escaped(function.name)) : function.name;
    const std::string beginning = calls.open + name + calls.between;
    any.push_back(
        sequence({literal(beginning), arguments_of(function, syntax), literal(calls.close)}));
  }
  syntax.rules[1].body = choice(std::move(any));
  Expr further = sequence({literal(calls.separator), call(1)});
  syntax.rules[0].body = sequence({call(1), repeat(std::move(further), 0, calls.most - 1)});
  if (calls.or_grammar.empty() && calls.or_json_schema.empty()) return syntax;
  const uint32_t form =
      append_rules(syntax, calls.or_grammar.empty() ? schema_syntax(calls.or_json_schema)
                                                    : parse_gbnf(calls.or_grammar));
  syntax.root = static_cast<uint32_t>(syntax.rules.size());
  syntax.rules.push_back({.name = "calls or form", .body = choice({call(0), call(form)})});
  return syntax;
}

}  // namespace tessera::grammar
