// Splits a template into text and the tokens of its tags.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "jinja/value.h"

namespace tessera::jinja {

struct Token {
  enum class Type {
    kText,
    kPrintBegin,  // {{
    kPrintEnd,
    kTagBegin,  // {%
    kTagEnd,
    kName,
    kLiteral,  // a string or a number: see `value`
    kOperator,
    kEnd,
  };
  Type type = Type::kEnd;
  std::string text;  // of kText, kName and kOperator
  Value value;
  int line = 0;
  int column = 0;
};

// White space is treated as by Jinja with trim_blocks and lstrip_blocks on and
// keep_trailing_newline off (the settings of Hugging Face): the line break after a tag, the
// indentation before a tag and the last line break of the template vanish. Comments and {% raw %}
// are resolved here. Throws Error with line and column.
std::vector<Token> tokenize(std::string_view source);

}  // namespace tessera::jinja
