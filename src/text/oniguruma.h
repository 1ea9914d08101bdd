// Regular expressions as tokenizer.json has them are Oniguruma's, in its Ruby syntax. The same in
// PCRE2's. https://github.com/kkos/oniguruma/blob/master/doc/RE
#pragma once

#include <string>
#include <string_view>

namespace tessera {

// Throws Error for what PCRE2 cannot say, and for what is malformed.
std::string pcre2_from_oniguruma(std::string_view pattern);

// The pattern that matches `text` itself.
std::string pcre2_from_text(std::string_view text);

}  // namespace tessera
