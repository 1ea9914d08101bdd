#include "engine/model_sampling.h"

#include <stdexcept>

#include "base/error.h"

namespace tessera {

SamplingOptions read_sampling(const Facts& facts) {
  SamplingOptions sampling;
  const auto number = [&](std::string_view name, float otherwise) {
    const auto value = facts.get_float("general.sampling." + std::string(name));
    return value ? static_cast<float>(*value) : otherwise;
  };
  sampling.temperature = number("temp", sampling.temperature);
  sampling.top_p = number("top_p", sampling.top_p);
  sampling.min_p = number("min_p", sampling.min_p);
  sampling.repetition_penalty = number("penalty_repeat", sampling.repetition_penalty);
  if (facts.get_float("general.sampling.penalty_repeat")) sampling.penalty_window = -1;
  if (const auto top_k = facts.get_int("general.sampling.top_k")) {
    if (*top_k < 0 || *top_k > 1 << 30)
      fail("key '{}': {} is out of range", facts.key_of("general.sampling.top_k"), *top_k);
    sampling.top_k = static_cast<int>(*top_k);
  }
  try {
    sampling.validate();
  } catch (const std::runtime_error& error) {
    fail("the model's own sampling: {}", error.what());
  }
  return sampling;
}

}  // namespace tessera
