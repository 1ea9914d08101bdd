// Facts of a checkpoint, which is not trusted, each within bounds.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "checkpoint/facts.h"

namespace tessera {

// Of any one dimension, and of a row of activations: far beyond any real model.
inline constexpr int64_t kMaxDimension = 1 << 24;

// Reads facts, each within bounds.
class BoundedFacts {
 public:
  explicit BoundedFacts(const Facts& facts) : facts_(facts) {}

  std::string key_of(std::string_view name) const { return facts_.key_of(name); }
  int required(std::string_view name) const { return checked(name, facts_.require_int(name)); }
  int optional(std::string_view name, int64_t otherwise) const {
    return checked(name, facts_.get_int(name).value_or(otherwise));
  }
  bool is(std::string_view name, bool otherwise) const {
    return facts_.get_bool(name).value_or(otherwise);
  }
  float positive(std::string_view name, double otherwise) const {
    const float value = real(name, otherwise);
    if (value <= 0) fail("key '{}': must be positive", key_of(name));
    return value;
  }
  float required_positive(std::string_view name) const {
    if (!facts_.get_float(name)) fail("key '{}' is missing", key_of(name));
    return positive(name, 1);
  }
  float real(std::string_view name, double otherwise) const {
    const double value = facts_.get_float(name).value_or(otherwise);
    if (!std::isfinite(value)) fail("key '{}': {} is not a finite number", key_of(name), value);
    return static_cast<float>(value);
  }
  // 0 where the checkpoint does not say.
  int or_none(std::string_view name) const {
    const int64_t value = facts_.get_int(name).value_or(0);
    return value == 0 ? 0 : checked(name, value);
  }
  // A number for each layer: the checkpoint has one for all, or a list of them.
  std::vector<int> by_layer(std::string_view name, size_t layers, int least = 1) const {
    if (!facts_.is_list(name))
      return std::vector<int>(layers, checked(name, facts_.require_int(name), least));
    const std::vector<int64_t> values = *facts_.get_ints(name);
    if (values.size() != layers) {
      fail("key '{}': {} values for {} layers", key_of(name), values.size(), layers);
    }
    std::vector<int> result;
    for (const int64_t value : values) result.push_back(checked(name, value, least));
    return result;
  }
  std::vector<int> by_layer(std::string_view name, std::vector<int> otherwise,
                            int least = 1) const {
    const bool said = facts_.is_list(name) || facts_.get_int(name);
    return said ? by_layer(name, otherwise.size(), least) : otherwise;
  }

 private:
  int checked(std::string_view name, int64_t value, int least = 1) const {
    if (value < least || value > kMaxDimension)
      fail("key '{}': {} is out of range", key_of(name), value);
    return static_cast<int>(value);
  }

  const Facts& facts_;
};

}  // namespace tessera
