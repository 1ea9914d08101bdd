// Builds the syntax tree. The grammar, with its precedences, is that of Jinja 3.1.
// https://jinja.palletsprojects.com/en/stable/templates/
#pragma once

#include <string_view>

#include "jinja/ast.h"

namespace tessera::jinja {

// Throws Error with line and column. Template inheritance and imports do not exist in chat
// templates and are reported as unknown tags.
ast::Body parse(std::string_view source);

}  // namespace tessera::jinja
