// What was learned to draft for a model, as a GGUF file beside it.
#pragma once

#include <filesystem>
#include <span>
#include <vector>

#include "base/token.h"
#include "files/gguf/metadata.h"
#include "train/learned.h"

namespace tessera::train {

// Rows of the model's output matrix that the file brings, and of which tokens they are.
struct OutputRows {
  TensorPlace place;
  std::span<const Token> tokens;  // none: there are no rows, and the model's matrix serves
  std::vector<float> values;      // [tokens, embedding]
};

// Matrices in Q8_0 where their rows are whole blocks of it, in F32 otherwise; vectors in F32.
// Appears whole or not at all.
void write_draft_file(GgufMetadata metadata, const Learned& learned, const OutputRows& output,
                      const std::filesystem::path& path);

}  // namespace tessera::train
