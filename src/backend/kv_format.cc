#include "backend/kv_format.h"

#include "base/error.h"

namespace tessera {

KvFormat parse_kv_format(std::string_view name) {
  if (name == "f16") return KvFormat::kF16;
  if (name == "q8_0") return KvFormat::kQ8_0;
  fail("there is no KV format '{}' (known: f16, q8_0)", name);
}

std::string_view to_string(KvFormat format) {
  return format == KvFormat::kF16 ? "f16" : "q8_0";
}

}  // namespace tessera
