// Importance matrices of a model: collected over a text, and given to the tensors they are for.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "files/imatrix.h"

namespace tessera {

struct ImportanceOptions {
  int chunks = 0, length = 512;  // of the text; 0: all that it fills
  int threads = 0;
  std::string dataset = {};  // what the text is called in the file
  std::function<void(double done, double total)> progress = {};
};

// Of all matrices in the model's layers, as the checkpoint has them; one layer is in memory at a
// time.
Imatrix collect_importance(const std::filesystem::path& source, std::string_view text,
                           const ImportanceOptions& options);

// Of each column of a tensor; empty if the matrix says nothing of it, or of several matrices in one
// tensor (experts). Error if it says it of another number of columns.
std::vector<float> importance_of(const Imatrix& imatrix, const Checkpoint& model,
                                 const StoredTensor& tensor);

}  // namespace tessera
