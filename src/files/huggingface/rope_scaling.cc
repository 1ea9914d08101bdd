#include "files/huggingface/rope_scaling.h"

#include <cmath>
#include <numbers>

namespace tessera::huggingface {
namespace {

double positive(const ConfigReader& rope, std::string_view key, std::optional<double> fallback) {
  const auto value = rope.number(key);
  if (!value && !fallback) fail("key '{}' is missing (expected a number)", key);
  const double number = value ? *value : *fallback;
  if (!(number > 0)) fail("key '{}': {} is not positive", key, number);
  return number;
}

// Low frequencies are divided by the factor, high ones stay, those between go smoothly over.
std::vector<float> llama3_factors(const ConfigReader& rope, const RopeShape& shape) {
  const double factor = positive(rope, "factor", {});
  const double low = positive(rope, "low_freq_factor", {});
  const double high = positive(rope, "high_freq_factor", {});
  const double original =
      positive(rope, "original_max_position_embeddings", shape.original_context);
  if (!(high > low)) fail("key 'high_freq_factor': {} is not above low_freq_factor {}", high, low);
  std::vector<float> factors;
  for (uint32_t i = 0; i < shape.dimensions / 2; ++i) {
    const double wavelength =
        2 * std::numbers::pi * std::pow(shape.base, 2.0 * i / shape.dimensions);
    double divisor = 1;
    if (wavelength > original / low) {
      divisor = factor;
    } else if (wavelength >= original / high) {
      const double smooth = (original / wavelength - low) / (high - low);
      divisor = 1 / ((1 - smooth) / factor + smooth);
    }
    factors.push_back(static_cast<float>(divisor));
  }
  return factors;
}

void add(RopeScaling& scaling, std::string_view fact, double value) {
  scaling.facts.emplace_back(fact, GgufValue{static_cast<float>(value)});
}

void add_kind(RopeScaling& scaling, const char* kind) {
  scaling.facts.emplace_back("rope.scaling.type", GgufValue{std::string(kind)});
}

void add_original_context(RopeScaling& scaling, double context) {
  if (context > UINT32_MAX)
    fail("key 'original_max_position_embeddings': {} is too large", context);
  scaling.facts.emplace_back("rope.scaling.original_context_length",
                             GgufValue{static_cast<uint32_t>(context)});
}

// YaRN's factor on queries and keys together: 0.1 mscale ln(factor) + 1.
double yarn_magnitude(double factor, double mscale) {
  return factor <= 1 ? 1 : 0.1 * mscale * std::log(factor) + 1;
}

RopeScaling read_yarn(const ConfigReader& rope, const RopeShape& shape) {
  const double original = positive(rope, "original_max_position_embeddings",
                                   shape.original_context.value_or(shape.context));
  const double factor = positive(rope, "factor", shape.context / original);
  const auto mscale = rope.number("mscale"), all_dimensions = rope.number("mscale_all_dim");
  double magnitude = yarn_magnitude(factor, 1);
  if (const auto said = rope.number("attention_factor")) {
    magnitude = *said;
  } else if (mscale && all_dimensions && *mscale != 0 && *all_dimensions != 0) {
    magnitude = yarn_magnitude(factor, *mscale) / yarn_magnitude(factor, *all_dimensions);
  }
  if (!(magnitude > 0)) fail("key 'attention_factor': {} is not positive", magnitude);

  RopeScaling scaling;
  add_kind(scaling, "yarn");
  add_original_context(scaling, original);
  add(scaling, "rope.scaling.factor", factor);
  add(scaling, "rope.scaling.yarn_beta_fast", positive(rope, "beta_fast", 32));
  add(scaling, "rope.scaling.yarn_beta_slow", positive(rope, "beta_slow", 1));
  // No reader of GGUF but Tessera knows it.
  if (rope.boolean("truncate") == false)
    scaling.facts.emplace_back("rope.scaling.yarn_truncate", GgufValue{false});
  // DeepSeek's has a tenth of it, and stretches scores by it.
  if (shape.is_latent && all_dimensions.value_or(0) > 0) {
    if (mscale != all_dimensions || rope.number("attention_factor")) {
      fail(
          "key 'mscale': other than mscale_all_dim is not supported in models of latent attention");
    }
    add(scaling, "rope.scaling.yarn_log_multiplier", 0.1 * *all_dimensions);
    return scaling;
  }
  const bool is_log = shape.has_log_multiplier && !rope.number("attention_factor") &&
                      mscale == 1.0 && all_dimensions.value_or(0) > 0;
  if (is_log) {
    add(scaling, "rope.scaling.yarn_log_multiplier", *all_dimensions);
    return scaling;
  }
  // GGUF's readers multiply by 0.1 ln(factor) + 1 themselves.
  add(scaling, "rope.scaling.yarn_attn_factor", magnitude / (0.1 * std::log(factor) + 1));
  return scaling;
}

RopeScaling read_longrope(const ConfigReader& rope, const RopeShape& shape) {
  const double original =
      positive(rope, "original_max_position_embeddings", shape.original_context);
  const double factor = shape.original_context ? shape.context / original
                                               : positive(rope, "factor", shape.context / original);
  const double usual = factor <= 1 ? 1 : std::sqrt(1 + std::log(factor) / std::log(original));
  RopeScaling scaling;
  for (const auto& [key, factors] : {std::pair("long_factor", &scaling.long_factors),
                                     std::pair("short_factor", &scaling.short_factors)}) {
    *factors = rope.numbers(key).value_or(std::vector<float>());
    if (factors->size() != shape.dimensions / 2)
      fail("key '{}': {} factors for {} frequencies", key, factors->size(), shape.dimensions / 2);
  }
  add_kind(scaling, "longrope");
  add_original_context(scaling, original);
  add(scaling, "rope.scaling.attn_factor", positive(rope, "attention_factor", usual));
  return scaling;
}

}  // namespace

RopeScaling read_rope_scaling(const ConfigReader& rope, const RopeShape& shape) {
  constexpr uint32_t kMostDimensions = 1 << 16;
  if (shape.dimensions > kMostDimensions)
    fail("heads of {} values are rotated, expected at most {}", shape.dimensions, kMostDimensions);
  const std::string kind = rope.text("rope_type").value_or(rope.text("type").value_or("default"));
  RopeScaling scaling;
  if (kind == "default" || kind == "mrope") return scaling;
  if (kind == "yarn") return read_yarn(rope, shape);
  if (kind == "longrope" || kind == "su") return read_longrope(rope, shape);
  if (kind == "llama3") {
    scaling.factors = llama3_factors(rope, shape);
  } else if (kind == "linear") {
    add_kind(scaling, "linear");
    add(scaling, "rope.scaling.factor", positive(rope, "factor", {}));
  } else {
    fail(
        "key 'rope_type': RoPE scaling '{}' is not supported (supported: linear, llama3, yarn, "
        "longrope)",
        printable(kind));
  }
  return scaling;
}

}  // namespace tessera::huggingface
