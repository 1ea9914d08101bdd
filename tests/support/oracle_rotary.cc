#include "support/oracle_rotary.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>
#include <string>

namespace tessera::oracle {

OracleRotary::OracleRotary(const OracleFile& file, int context)
    : f_(file),
      context_(context > 0 ? context : file.integer("context_length")),
      original_context_(
          file.integer("rope.scaling.original_context_length", file.integer("context_length"))) {}

Rotation OracleRotary::rotation(int dimensions, double base, bool is_scaled) const {
  Rotation rotation;
  for (int i = 0; i < dimensions / 2; ++i) {
    rotation.frequency.push_back(std::pow(base, -2.0 * i / dimensions));
  }
  if (is_scaled) stretch(rotation, base);
  return rotation;
}

void OracleRotary::rotate(const Rotation& rotation, double position, std::span<double> x) const {
  const int pairs = static_cast<int>(rotation.frequency.size());
  for (int i = 0; i < pairs; ++i) {
    // Llama's GGUF weights are permuted so that pairs are neighbours; the other families' pairs
    // lie half the rotated dimensions apart.
    const bool neighbours =
        f_.is_any_of({"llama", "smollm3", "granite", "mistral3", "cohere2", "llama4"});
    double& a = x[neighbours ? 2 * i : i];
    double& b = x[neighbours ? 2 * i + 1 : i + pairs];
    const double angle = position * rotation.frequency[i];
    const double cosine = rotation.magnitude * std::cos(angle),
                 sine = rotation.magnitude * std::sin(angle);
    const double old_a = a;
    a = old_a * cosine - b * sine;
    b = old_a * sine + b * cosine;
  }
}

void OracleRotary::stretch(Rotation& rotation, double base) const {
  const std::string type =
      f_.file.metadata().get_string(f_.key("rope.scaling.type")).value_or("linear");
  const double stored_factor = f_.real("rope.scaling.factor", 0);
  const double factor = stored_factor == 0 || type == "none" ? 1 : stored_factor;
  rotation.magnitude = f_.real("rope.scaling.attn_factor", 1);

  // Llama 3's factors of each frequency, or LongRoPE's for a short or a long context.
  std::optional<Vector> divisors = f_.find_vector("rope_freqs.weight");
  if (!divisors) {
    divisors = f_.find_vector(context_ > original_context_ ? "rope_factors_long.weight"
                                                           : "rope_factors_short.weight");
  }
  for (size_t i = 0; i < rotation.frequency.size(); ++i) {
    const double plain = rotation.frequency[i] / (divisors ? (*divisors)[i] : 1);
    const double kept = type == "yarn" ? yarn_kept(i, rotation.frequency.size() * 2, base) : 0;
    rotation.frequency[i] = kept * plain + (1 - kept) * plain / factor;
  }
  if (type == "yarn") {  // DeepSeek's configurations: mscale / mscale_all_dim
    const double all_dimensions = f_.real("rope.scaling.yarn_log_multiplier", 0);
    rotation.magnitude *=
        (1 + 0.1 * std::log(factor)) / (1 + 0.1 * all_dimensions * std::log(factor));
  }
}

// YaRN: the share of pair i's frequency that stays as it was. Pairs that turn more than beta_fast
// times over the original context keep it, pairs below beta_slow turns are interpolated, with a
// ramp between.
double OracleRotary::yarn_kept(size_t pair, size_t rotated, double base) const {
  const double beta_fast = 32, beta_slow = 1;
  const auto i = static_cast<double>(pair), dimensions = static_cast<double>(rotated);
  const auto pair_with_turns = [&](double turns) {
    return dimensions * std::log(original_context_ / (turns * 2 * std::numbers::pi)) /
           (2 * std::log(base));
  };
  const double low = std::max(0.0, std::floor(pair_with_turns(beta_fast)));
  const double high = std::min(dimensions - 1.0, std::ceil(pair_with_turns(beta_slow)));
  return 1 - std::clamp((i - low) / std::max(0.001, high - low), 0.0, 1.0);
}

}  // namespace tessera::oracle
