// Answers that a program can read: held to a JSON schema, and to a grammar.
//
//   grammar [MODEL]
#include <tessera/tessera.h>

#include <exception>
#include <iostream>

int main(int argc, char** argv) try {
  auto model = tessera::LanguageModel::load(argc > 1 ? argv[1] : "smollm2:135m");

  // The model does not see the form, so the question says what is wanted, too.
  tessera::GenerateOptions as_json;
  as_json.json_schema = R"({
    "type": "object",
    "properties": {
      "name": {"type": "string", "maxLength": 20},
      "legs": {"type": "integer", "minimum": 0, "maximum": 8}
    },
    "required": ["name", "legs"]
  })";
  std::cout << model.chat({{"user", "Describe an animal as JSON."}}, as_json).text << "\n";

  tessera::GenerateOptions yes_or_no;
  yes_or_no.grammar = R"(root ::= "yes" | "no")";
  std::cout << model.chat({{"user", "Is the sky blue?"}}, yes_or_no).text << "\n";
} catch (const std::exception& error) {
  std::cerr << "error: " << error.what() << "\n";
  return 1;
}
