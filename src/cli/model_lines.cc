#include "cli/model_lines.h"

#include <fmt/format.h>

#include <algorithm>

#include "compress/recipes.h"

namespace tessera::cli {

std::string quantization_of(const ModelSummary& summary) {
  const auto recipes = all_recipes();
  const auto found = std::ranges::find_if(recipes, [&](const Recipe& recipe) {
    return summary.file_type && *summary.file_type == recipe.file_type;
  });
  return std::string(found == recipes.end() ? summary.main_format : found->name);
}

std::string describe_count(uint64_t count) {
  const auto value = static_cast<double>(count);
  if (value >= 1e9) return fmt::format("{:.2f} B", value / 1e9);
  if (value >= 1e6) return fmt::format("{:.1f} M", value / 1e6);
  return fmt::format("{}", count);
}

}  // namespace tessera::cli
