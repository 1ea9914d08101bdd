// The formats of keys and values by name.
#pragma once

#include <string_view>

#include "backend/backend.h"

namespace tessera {

KvFormat parse_kv_format(std::string_view name);  // "f16", "q8_0"; Error otherwise
std::string_view to_string(KvFormat format);

}  // namespace tessera
