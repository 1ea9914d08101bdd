// Random names.
#pragma once

#include <string>
#include <string_view>

namespace tessera::serve {

// `prefix` and 24 random letters and digits.
std::string new_identifier(std::string_view prefix);

}  // namespace tessera::serve
