// Importance matrices: of each column of a model's matrices, the mean square of what it multiplies,
// over some text. Written and read as llama.cpp does: GGUF, and its older ".dat".
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace tessera {

struct Imatrix {
  struct Entry {
    // Of each matrix in the tensor (experts; else one), its columns: sums of x^2 over `counts`
    // rows.
    std::vector<float> sums;
    std::vector<float> counts;  // of each matrix

    size_t matrices() const { return counts.size(); }
    size_t columns() const { return sums.size() / counts.size(); }
    // Of one of the matrices. All 1 where there were no rows.
    std::vector<float> means(size_t matrix = 0) const;
  };

  std::map<std::string, Entry> entries;  // by the tensor's name in a GGUF file
  std::vector<std::string> datasets;
  uint32_t chunks = 0, chunk_tokens = 0;
};

// Throws Error for a file that is neither kind, or malformed: every size is checked, and every
// number is finite and not negative.
Imatrix read_imatrix(const std::filesystem::path& path);
// ".dat" in the older layout, anything else as GGUF. Appears under its name when it is complete.
void write_imatrix(const Imatrix& imatrix, const std::filesystem::path& path);

}  // namespace tessera
