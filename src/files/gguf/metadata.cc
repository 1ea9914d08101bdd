#include "files/gguf/metadata.h"

#include <bit>
#include <limits>
#include <type_traits>

#include "base/checked.h"
#include "base/error.h"
#include "base/printable.h"
#include "files/gguf/layout.h"

namespace tessera {
namespace gguf {

std::string_view type_name(Type type) {
  switch (type) {
    case Type::kUint8:
      return "uint8";
    case Type::kInt8:
      return "int8";
    case Type::kUint16:
      return "uint16";
    case Type::kInt16:
      return "int16";
    case Type::kUint32:
      return "uint32";
    case Type::kInt32:
      return "int32";
    case Type::kFloat32:
      return "float32";
    case Type::kBool:
      return "bool";
    case Type::kString:
      return "string";
    case Type::kArray:
      return "array";
    case Type::kUint64:
      return "uint64";
    case Type::kInt64:
      return "int64";
    case Type::kFloat64:
      return "float64";
  }
  return "unknown";
}

std::string type_name(const GgufValue& value) {
  return std::visit(
      []<typename T>(const T& v) -> std::string {
        if constexpr (std::is_same_v<T, GgufValue::Array>) {
          return std::visit(
              []<typename E>(const std::vector<E>&) {
                return fmt::format("array of {}", type_name(type_id<E>()));
              },
              v);
        } else {
          return std::string(type_name(type_id<T>()));
        }
      },
      value.value);
}

uint64_t align_up(uint64_t offset, uint64_t alignment) {
  return checked_add(offset, alignment - 1, "padded offset") & ~(alignment - 1);
}

uint64_t alignment_of(const GgufMetadata& metadata) {
  const auto alignment = metadata.get_int(kAlignmentKey);
  if (!alignment) return kDefaultAlignment;
  if (*alignment < static_cast<int64_t>(kMinAlignment) ||
      *alignment > static_cast<int64_t>(kMaxAlignment) ||
      !std::has_single_bit(static_cast<uint64_t>(*alignment))) {
    fail("key '{}': expected a power of two from {} to {}, found {}", kAlignmentKey, kMinAlignment,
         kMaxAlignment, *alignment);
  }
  return static_cast<uint64_t>(*alignment);
}

}  // namespace gguf

namespace {

template <typename T>
constexpr bool kIsInteger = std::is_integral_v<T> && !std::is_same_v<T, bool>;

[[noreturn]] void fail_type(std::string_view key, std::string_view expected,
                            const GgufValue& found) {
  fail("key '{}': expected {}, found {}", printable(key), expected, gguf::type_name(found));
}

template <typename T>
int64_t to_int64(std::string_view key, T value) {
  if constexpr (std::is_same_v<T, uint64_t>) {
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      fail("key '{}': {} is too large", printable(key), value);
    }
  }
  return static_cast<int64_t>(value);
}

// Element-wise conversion of an array value; `convert` is asked only for element types it accepts.
template <typename To, typename Accepts, typename Convert>
std::vector<To> convert_array(std::string_view key, const GgufValue& value,
                              std::string_view expected, Accepts accepts, Convert convert) {
  const auto* array = std::get_if<GgufValue::Array>(&value.value);
  if (array == nullptr) fail_type(key, expected, value);
  return std::visit(
      [&]<typename E>(const std::vector<E>& elements) -> std::vector<To> {
        if constexpr (accepts.template operator()<E>()) {
          std::vector<To> out;
          out.reserve(elements.size());
          for (const auto& element : elements) out.push_back(convert(element));
          return out;
        } else {
          fail_type(key, expected, value);
        }
      },
      *array);
}

}  // namespace

bool GgufMetadata::contains(std::string_view key) const {
  return find(key) != nullptr;
}

const GgufValue* GgufMetadata::find(std::string_view key) const {
  const auto found = index_.find(std::string(key));
  return found == index_.end() ? nullptr : &entries_[found->second].second;
}

bool GgufMetadata::is_array(std::string_view key) const {
  const GgufValue* value = find(key);
  return value != nullptr && std::holds_alternative<GgufValue::Array>(value->value);
}

std::optional<int64_t> GgufMetadata::get_int(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  return std::visit(
      [&]<typename T>(const T& v) -> int64_t {
        if constexpr (kIsInteger<T>) {
          return to_int64(key, v);
        } else {
          fail_type(key, "an integer", *value);
        }
      },
      value->value);
}

std::optional<double> GgufMetadata::get_float(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  return std::visit(
      [&]<typename T>(const T& v) -> double {
        if constexpr (kIsInteger<T> || std::is_floating_point_v<T>) {
          return static_cast<double>(v);
        } else {
          fail_type(key, "a number", *value);
        }
      },
      value->value);
}

std::optional<bool> GgufMetadata::get_bool(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  const bool* v = std::get_if<bool>(&value->value);
  if (v == nullptr) fail_type(key, "a bool", *value);
  return *v;
}

std::optional<std::string> GgufMetadata::get_string(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  const std::string* v = std::get_if<std::string>(&value->value);
  if (v == nullptr) fail_type(key, "a string", *value);
  return *v;
}

std::optional<std::vector<std::string>> GgufMetadata::get_strings(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  return convert_array<std::string>(
      key, *value, "an array of strings",
      []<typename E>() { return std::is_same_v<E, std::string>; },
      [](const std::string& element) { return element; });
}

std::optional<std::vector<int64_t>> GgufMetadata::get_ints(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  return convert_array<int64_t>(
      key, *value, "an array of integers", []<typename E>() { return kIsInteger<E>; },
      [&](auto element) { return to_int64(key, element); });
}

std::optional<std::vector<bool>> GgufMetadata::get_bools(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  return convert_array<bool>(
      key, *value, "an array of bools", []<typename E>() { return std::is_same_v<E, bool>; },
      [](bool element) { return element; });
}

std::optional<std::vector<float>> GgufMetadata::get_floats(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  return convert_array<float>(
      key, *value, "an array of numbers",
      []<typename E>() { return kIsInteger<E> || std::is_floating_point_v<E>; },
      [](auto element) { return static_cast<float>(element); });
}

int64_t GgufMetadata::require_int(std::string_view key) const {
  const auto value = get_int(key);
  if (!value) fail("key '{}' is missing (expected an integer)", printable(key));
  return *value;
}

std::string GgufMetadata::require_string(std::string_view key) const {
  auto value = get_string(key);
  if (!value) fail("key '{}' is missing (expected a string)", printable(key));
  return *std::move(value);
}

void GgufMetadata::set(std::string key, GgufValue value) {
  const auto [slot, added] = index_.try_emplace(key, entries_.size());
  if (added) {
    entries_.emplace_back(std::move(key), std::move(value));
  } else {
    entries_[slot->second].second = std::move(value);
  }
}

void GgufMetadata::erase(std::string_view key) {
  const auto found = index_.find(std::string(key));
  if (found == index_.end()) return;
  const size_t position = found->second;
  index_.erase(found);
  entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(position));
  for (auto& [name, at] : index_) {
    if (at > position) --at;
  }
}

}  // namespace tessera
