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

// Of each column of a tensor's matrices: one, or as many as the tensor has experts, which have seen
// different rows. Nothing if the importance matrix says nothing of the tensor; no columns of an
// expert that fewer than kFewestRows were sent to, which says too little. Error if it says it of
// another number of columns.
inline constexpr float kFewestRows = 8;
std::vector<std::vector<float>> importances_of(const Imatrix& imatrix, const Checkpoint& model,
                                               const StoredTensor& tensor);
// The same of a tensor that is one matrix; empty if it is not.
std::vector<float> importance_of(const Imatrix& imatrix, const Checkpoint& model,
                                 const StoredTensor& tensor);

}  // namespace tessera
