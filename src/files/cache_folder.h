// What lies in the cache folder: the models that were pulled, and what is left of broken downloads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace tessera {

struct CachedModel {
  std::string name;            // a reference that stands for it, or its path if it has none
  std::filesystem::path path;  // of the GGUF, or of its first member
  std::vector<std::filesystem::path> files;  // all that belongs to it
  uint64_t bytes = 0;                        // of all of these
  bool is_whole = false;                     // false: a download that was not finished
  std::filesystem::file_time_type modified = std::filesystem::file_time_type::min();
};

// Sorted by name. Links to folders are not followed. A folder that is not there holds no models.
std::vector<CachedModel> list_cached_models(const std::filesystem::path& cache);

// The one that the user means by a reference (model_reference.h), a name as it is listed, or a
// path. Error if the cache holds none.
CachedModel find_cached_model(std::string_view reference, const std::filesystem::path& cache);

// Removes its files, and the folders that are empty then. Error if one cannot be removed.
void remove_cached_model(const CachedModel& model, const std::filesystem::path& cache);

}  // namespace tessera
