// Sizes as people write them: "1.2GB", "900 MB", "1.5GiB", "1200000".
#pragma once

#include <cstdint>
#include <string_view>

namespace tessera::cli {

// Error for anything else.
uint64_t parse_byte_size(std::string_view text);

}  // namespace tessera::cli
