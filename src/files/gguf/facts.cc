#include "files/gguf/facts.h"

#include <utility>
#include <variant>

namespace tessera {

GgufFacts::GgufFacts(GgufMetadata metadata) : metadata_(std::move(metadata)) {
  const GgufValue* value = metadata_.find("general.architecture");
  // Absent, or no string: whoever asks for the architecture meets the Error.
  const auto* name = value == nullptr ? nullptr : std::get_if<std::string>(&value->value);
  prefix_ = (name == nullptr ? std::string() : *name) + ".";
}

std::string GgufFacts::prefixed(std::string_view name) const {
  if (name.starts_with("general.")) return std::string(name);
  return prefix_ + std::string(name);
}

std::string GgufFacts::key_of(std::string_view name) const {
  return prefixed(name);
}

std::optional<int64_t> GgufFacts::get_int(std::string_view name) const {
  return metadata_.get_int(prefixed(name));
}

std::optional<double> GgufFacts::get_float(std::string_view name) const {
  return metadata_.get_float(prefixed(name));
}

std::optional<std::string> GgufFacts::get_string(std::string_view name) const {
  return metadata_.get_string(prefixed(name));
}

std::optional<std::vector<int64_t>> GgufFacts::get_ints(std::string_view name) const {
  return metadata_.get_ints(prefixed(name));
}

std::optional<bool> GgufFacts::get_bool(std::string_view name) const {
  return metadata_.get_bool(prefixed(name));
}

std::optional<std::vector<bool>> GgufFacts::get_bools(std::string_view name) const {
  return metadata_.get_bools(prefixed(name));
}

bool GgufFacts::is_list(std::string_view name) const {
  return metadata_.is_array(prefixed(name));
}

}  // namespace tessera
