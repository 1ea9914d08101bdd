// The metadata of a GGUF file: keys and typed values.
// Specification: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace tessera {

// A metadata value. Arrays of arrays exist in the specification but in no known model; reading
// one is an Error.
class GgufValue {
 public:
  using Array = std::variant<std::vector<uint8_t>, std::vector<int8_t>, std::vector<uint16_t>,
                             std::vector<int16_t>, std::vector<uint32_t>, std::vector<int32_t>,
                             std::vector<uint64_t>, std::vector<int64_t>, std::vector<float>,
                             std::vector<double>, std::vector<bool>, std::vector<std::string>>;
  using Variant = std::variant<uint8_t, int8_t, uint16_t, int16_t, uint32_t, int32_t, uint64_t,
                               int64_t, float, double, bool, std::string, Array>;
  Variant value;
};

// Metadata in file order, with typed look-up. Integers of every width convert to each other when
// the value fits; floats and integers do not mix, except that an integer may be read as a float.
class GgufMetadata {
 public:
  bool contains(std::string_view key) const;
  const GgufValue* find(std::string_view key) const;  // nullptr if absent
  bool is_array(std::string_view key) const;          // false if absent

  // nullopt if the key is absent; Error "key '...': expected X, found Y" if it has another type.
  std::optional<int64_t> get_int(std::string_view key) const;
  std::optional<double> get_float(std::string_view key) const;
  std::optional<bool> get_bool(std::string_view key) const;
  std::optional<std::string> get_string(std::string_view key) const;
  std::optional<std::vector<std::string>> get_strings(std::string_view key) const;
  std::optional<std::vector<int64_t>> get_ints(std::string_view key) const;
  std::optional<std::vector<bool>> get_bools(std::string_view key) const;
  std::optional<std::vector<float>> get_floats(std::string_view key) const;
  // As get_int / get_string, but absence is an Error too.
  int64_t require_int(std::string_view key) const;
  std::string require_string(std::string_view key) const;

  void set(std::string key, GgufValue value);  // adds, or replaces in place
  void erase(std::string_view key);
  const std::vector<std::pair<std::string, GgufValue>>& entries() const { return entries_; }

 private:
  std::vector<std::pair<std::string, GgufValue>> entries_;
  std::unordered_map<std::string, size_t> index_;
};

}  // namespace tessera
