#include "cli/model_lines.h"

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

}  // namespace tessera::cli
