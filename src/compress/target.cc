#include "compress/target.h"

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/human_bytes.h"
#include "base/log.h"
#include "compress/allocation.h"

namespace tessera {
namespace {

uint64_t bytes_in(const StoredTensor& tensor, const Format& format) {
  return format.row_bytes(tensor.columns()) * tensor.rows();
}

// Sizes as they were asked for.
struct SizeScale {
  bool by_weight;
  uint64_t elements, beside;

  std::string describe(uint64_t bytes) const {
    return by_weight ? fmt::format("{:.2f} bits per weight",
                                   8.0 * static_cast<double>(bytes) / static_cast<double>(elements))
                     : human_bytes(bytes + beside);
  }
};

// The bytes that are to be had for tensors whose formats are free.
struct Budget {
  SizeScale scale;
  uint64_t settled = 0;    // of the others
  uint64_t wanted = 0;     // of all
  uint64_t tolerance = 0;  // by which less may be used
};

Budget budget_for(const Checkpoint& model, const TargetSize& target, uint64_t beside,
                  std::span<const Sensitivity> sensitivities, std::span<const PlannedFormat> plan) {
  std::vector<bool> is_free(plan.size());
  uint64_t least = 0, most = 0;
  for (const Sensitivity& sensitivity : sensitivities) {
    is_free[sensitivity.tensor] = true;
    const auto bytes = [&](const Format* format) {
      return bytes_in(model.tensors()[sensitivity.tensor], *format);
    };
    const auto [low, high] = std::ranges::minmax(sensitivity.formats, {}, bytes);
    least += bytes(low);
    most += bytes(high);
  }
  Budget budget{.scale = {target.bits_per_weight > 0, 0, beside}};
  for (size_t i = 0; i < plan.size(); ++i) {
    budget.scale.elements += model.tensors()[i].elements();
    if (!is_free[i]) budget.settled += bytes_in(model.tensors()[i], *plan[i].format);
  }
  least += budget.settled;
  most += budget.settled;
  budget.wanted = budget.scale.by_weight
                      ? static_cast<uint64_t>(target.bits_per_weight *
                                              static_cast<double>(budget.scale.elements) / 8)
                      : target.bytes - std::min(target.bytes, beside);
  constexpr double kTolerance = 0.005;
  budget.tolerance = static_cast<uint64_t>(kTolerance * static_cast<double>(budget.wanted));
  if (budget.wanted < least || budget.wanted > most + budget.tolerance) {
    fail("{} cannot be had: the model takes between {} and {}",
         budget.scale.by_weight ? budget.scale.describe(budget.wanted) : human_bytes(target.bytes),
         budget.scale.describe(least), budget.scale.describe(most));
  }
  return budget;
}

}  // namespace

std::vector<size_t> free_tensors(const Checkpoint& model, const std::vector<bool>& named) {
  std::vector<size_t> tensors;
  for (size_t i = 0; i < named.size(); ++i) {
    if (!named[i] && is_reencoded(model.tensors()[i])) tensors.push_back(i);
  }
  return tensors;
}

void check_target(const Checkpoint& model, const TargetSize& target, uint64_t beside,
                  std::span<const size_t> tensors, std::span<const PlannedFormat> plan) {
  std::vector<Sensitivity> unknown;
  for (const size_t tensor : tensors) {
    unknown.push_back(
        {.tensor = tensor, .formats = possible_formats(model.tensors()[tensor]), .errors = {}});
  }
  budget_for(model, target, beside, unknown, plan);
}

double plan_for_target(const Checkpoint& model, const TargetSize& target, uint64_t beside,
                       std::span<const Sensitivity> sensitivities, std::span<PlannedFormat> plan) {
  const Budget budget = budget_for(model, target, beside, sensitivities, plan);
  std::vector<std::vector<FormatChoice>> choices;
  for (const auto& [tensor, formats, errors, factor] : sensitivities) {
    auto& of_tensor = choices.emplace_back();
    for (size_t f = 0; f < formats.size(); ++f) {
      of_tensor.push_back({bytes_in(model.tensors()[tensor], *formats[f]), factor * errors[f]});
    }
  }
  const std::vector<size_t> chosen = allocate(choices, budget.wanted - budget.settled);
  double cost = 0;
  uint64_t bytes = budget.settled;
  for (size_t s = 0; s < chosen.size(); ++s) {
    const Format* format = sensitivities[s].formats[chosen[s]];
    plan[sensitivities[s].tensor] = {format, format};
    cost += choices[s][chosen[s]].cost;
    bytes += choices[s][chosen[s]].bytes;
  }
  if (bytes + budget.tolerance < budget.wanted) {
    spdlog::warn("{} are asked for, and no formats come nearer to it than {}",
                 budget.scale.describe(budget.wanted), budget.scale.describe(bytes));
  }
  return cost;
}

const Recipe& most_like(const Checkpoint& model, std::span<const PlannedFormat> plan) {
  std::map<std::string_view, uint64_t> weights;  // by the format's name
  for (size_t i = 0; i < plan.size(); ++i) {
    if (is_reencoded(model.tensors()[i]))
      weights[plan[i].format->name] += model.tensors()[i].elements();
  }
  const Recipe* most = &all_recipes().front();
  uint64_t most_weights = 0;
  for (const Recipe& recipe : all_recipes()) {
    const auto found = weights.find(recipe.base->name);
    if (found == weights.end() || found->second <= most_weights) continue;
    most = &recipe;
    most_weights = found->second;
  }
  return *most;
}

}  // namespace tessera
