// Builds the syntax tree. The grammar, with its precedences, is that of Jinja 3.1.
// https://jinja.palletsprojects.com/en/stable/templates/
#pragma once

#include <string_view>

#include "jinja/ast.h"

namespace tessera::jinja {

// Throws Error with line and column. There is only one template, so what names another (extends,
// include, import) is reported as an unknown tag.
ast::Template parse(std::string_view source);

}  // namespace tessera::jinja
