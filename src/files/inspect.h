// What is in a model file, for people and for programs: `tessera inspect FILE [--json]`.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace tessera {

// Header, metadata (long arrays cut to their first values), a table of the tensors, totals. Text
// that comes from the file is escaped: it is safe to print on a terminal.
std::string describe_file(const std::filesystem::path& path);

// {"files": [..], "version": 3, "alignment": 32,
//  "metadata": [{"key", "type", "value"} or, for an array, {"key", "type", "count", "first":
//  [..]}], "tensors": [{"name", "shape", "format", "bytes", "offset", "file"}], "totals":
//  {"tensors", "parameters", "bytes", "bits_per_weight",
//             "formats": {"Q4_K": {"tensors", "parameters", "bytes"}}}}
// "offset" counts from the start of the file at index "file" of "files"; it is null for a tensor
// whose rows are put together from several places. Every string is UTF-8. Of a Hugging Face folder
// there are no "version" and "alignment", and the metadata are what config.json says in GGUF's
// words.
nlohmann::json describe_file_json(const std::filesystem::path& path);

}  // namespace tessera
