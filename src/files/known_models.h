// The names that script/fetch-model knows: script/models.tsv, embedded in the program by CMake.
#pragma once

#include <span>
#include <string_view>
#include <vector>

namespace tessera {

struct KnownModel {
  std::string_view name;  // "smollm2:135m"
  std::string_view file;  // its file name in cache_folder()
};
std::span<const KnownModel> known_models();

// The text of the table: a line of headings, then "name\tfile\t..." for each model.
extern const std::string_view kModelTable;

}  // namespace tessera
