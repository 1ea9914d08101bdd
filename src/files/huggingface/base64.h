// Base64 (RFC 4648, section 4), which tokenizer.json packs bytes in.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tessera::huggingface {

// nullopt if `text` is none.
std::optional<std::string> decode_base64(std::string_view text);
std::string encode_base64(std::string_view bytes);

}  // namespace tessera::huggingface
