#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

#include "base/error.h"

namespace tessera {
namespace {

struct Scaling {
  std::string type;
  double factor = 1, original_context = 0, attention_factor = 1;
  double beta_fast = 32, beta_slow = 1, extrapolation = 1;
  double log_multiplier = 0;  // of YaRN's magnitude; 0: there is one magnitude only
  bool is_latent = false;
  bool truncate = true;  // the ramp begins and ends at whole dimensions
};

Scaling read_scaling(const Facts& facts, const Config& config) {
  const auto number = [&](std::string_view name, double fallback) {
    const double value = facts.get_float(name).value_or(fallback);
    if (!std::isfinite(value) || value <= 0)
      fail("key '{}': {} is not a positive number", facts.key_of(name), value);
    return value;
  };
  Scaling scaling;
  // 0 stands for no scaling, too.
  scaling.factor =
      facts.get_float("rope.scaling.factor") == 0.0 ? 1 : number("rope.scaling.factor", 1);
  // Old files name a linear factor without a type.
  scaling.type =
      facts.get_string("rope.scaling.type").value_or(scaling.factor != 1 ? "linear" : "none");
  scaling.original_context =
      number("rope.scaling.original_context_length", config.training_context);
  scaling.attention_factor =
      number("rope.scaling.attn_factor", 1) * number("rope.scaling.yarn_attn_factor", 1);
  scaling.beta_fast = number("rope.scaling.yarn_beta_fast", 32);
  scaling.beta_slow = number("rope.scaling.yarn_beta_slow", 1);
  scaling.extrapolation = number("rope.scaling.yarn_ext_factor", 1);
  scaling.log_multiplier = facts.get_float("rope.scaling.yarn_log_multiplier").value_or(0);
  scaling.is_latent = facts.get_int("attention.kv_lora_rank").value_or(0) > 0;
  scaling.truncate = facts.get_bool("rope.scaling.yarn_truncate").value_or(true);
  if (!(scaling.log_multiplier >= 0 && scaling.log_multiplier < 100))
    fail("key '{}': {} is not from 0 to 100", facts.key_of("rope.scaling.yarn_log_multiplier"),
         scaling.log_multiplier);
  return scaling;
}

// YaRN: high frequencies stay, low ones are interpolated, a ramp lies between. The bounds are the
// dimensions that turn beta times over the original context.
void apply_yarn(Rope& rope, double base, const Scaling& scaling) {
  const auto dimension_of = [&](double turns) {
    return rope.dimensions * std::log(scaling.original_context / (turns * 2 * std::numbers::pi)) /
           (2 * std::log(base));
  };
  const double first = dimension_of(scaling.beta_fast), last = dimension_of(scaling.beta_slow);
  const double low = std::max(0.0, scaling.truncate ? std::floor(first) : first);
  const double high = std::min(rope.dimensions - 1.0, scaling.truncate ? std::ceil(last) : last);
  for (size_t i = 0; i < rope.frequency.size(); ++i) {
    const double ramp =
        std::clamp((static_cast<double>(i) - low) / std::max(0.001, high - low), 0.0, 1.0);
    const double extrapolated = (1 - ramp) * scaling.extrapolation;
    rope.frequency[i] = static_cast<float>(rope.frequency[i] *
                                           (extrapolated + (1 - extrapolated) / scaling.factor));
  }
  // Queries and keys of DeepSeek's configurations have a magnitude each: mscale, which is 1, and
  // mscale_all_dim. Latent attention has both as one, of its scores.
  const double logarithm = 0.1 * std::log(scaling.factor);
  const double stretch = scaling.is_latent && scaling.log_multiplier > 0
                             ? 1
                             : (1 + logarithm) / (1 + scaling.log_multiplier * logarithm);
  rope.magnitude = static_cast<float>(scaling.attention_factor * stretch);
}

void divide_by_factors(Rope& rope, const StoredTensor& tensor) {
  if (tensor.format->name != kF32.name) fail("tensor '{}' must be F32", tensor.name);
  if (tensor.elements() < rope.frequency.size()) {
    fail("tensor '{}' has {} factors, {} frequencies need one", tensor.name, tensor.elements(),
         rope.frequency.size());
  }
  std::vector<float> factors(tensor.elements());
  tensor.decode(0, tensor.rows(), factors);
  for (size_t i = 0; i < rope.frequency.size(); ++i) {
    if (!(factors[i] > 0)) fail("tensor '{}': factor {} is not positive", tensor.name, factors[i]);
    rope.frequency[i] /= factors[i];
  }
}

}  // namespace

Rope plain_rope(int dimensions, bool interleaved, float base) {
  Rope rope{
      .dimensions = dimensions, .interleaved = interleaved, .magnitude = 1.0f, .frequency = {}};
  for (int i = 0; i < dimensions / 2; ++i) {
    rope.frequency.push_back(
        static_cast<float>(std::pow(static_cast<double>(base), -2.0 * i / dimensions)));
  }
  return rope;
}

int rope_dimensions(const Facts& facts, std::string_view name, int head_dim) {
  const int64_t dimensions = facts.get_int(name).value_or(head_dim);
  if (dimensions < 2 || dimensions > head_dim || dimensions % 2 != 0) {
    fail("key '{}': {} does not fit heads of length {}", facts.key_of(name), dimensions, head_dim);
  }
  return static_cast<int>(dimensions);
}

float read_rope_base(const Facts& facts, std::string_view name, double fallback) {
  const double base = facts.get_float(name).value_or(fallback);
  if (!(base > 1) || !std::isfinite(base))
    fail("key '{}': {} is not a base", facts.key_of(name), base);
  return static_cast<float>(base);
}

Rope read_rope(const Checkpoint& checkpoint, const Config& config, int head_dim) {
  const Facts& facts = checkpoint.facts();
  const int dimensions = rope_dimensions(facts, "rope.dimension_count", head_dim);
  const float base = read_rope_base(facts, "rope.freq_base", kRopeBase);

  Rope rope = plain_rope(dimensions, config.architecture->interleaved_rope, base);
  const Scaling scaling = read_scaling(facts, config);
  rope.magnitude = static_cast<float>(scaling.attention_factor);
  if (scaling.type == "linear") {
    for (float& f : rope.frequency) f = static_cast<float>(f / scaling.factor);
  } else if (scaling.type == "yarn") {
    apply_yarn(rope, base, scaling);
  } else if (scaling.type != "none" && scaling.type != "longrope") {
    fail("key '{}': RoPE scaling '{}' is not supported", facts.key_of("rope.scaling.type"),
         scaling.type);
  }

  const TensorRole long_or_short = config.context > scaling.original_context
                                       ? TensorRole::kRopeFactorsLong
                                       : TensorRole::kRopeFactorsShort;
  for (const TensorRole role : {TensorRole::kRopeFactors, long_or_short}) {
    if (const StoredTensor* factors = checkpoint.find({role})) divide_by_factors(rope, *factors);
  }
  return rope;
}

}  // namespace tessera
