#include "checkpoint/facts.h"

#include <utility>

#include "base/error.h"
#include "base/printable.h"

namespace tessera {

int64_t Facts::require_int(std::string_view name) const {
  const auto value = get_int(name);
  if (!value) fail("key '{}' is missing (expected an integer)", printable(key_of(name)));
  return *value;
}

std::string Facts::require_string(std::string_view name) const {
  auto value = get_string(name);
  if (!value) fail("key '{}' is missing (expected a string)", printable(key_of(name)));
  return *std::move(value);
}

}  // namespace tessera
