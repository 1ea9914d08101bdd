// What a folder of sentence-transformers says beside its model: how the hidden states of a text
// become its embedding. modules.json lists the steps, each with a folder of its own.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

namespace tessera::huggingface {

struct EmbeddingModules {
  std::optional<uint32_t>
      pooling;  // as GGUF numbers them: 1 mean, 2 of the first token, 3 the last
  std::vector<std::filesystem::path> dense;  // safetensors of linear maps behind it, in order
};

// Nothing where the folder has no modules.json. Error for a step that is not known, or a way to
// pool or an activation that is not supported.
EmbeddingModules read_embedding_modules(const std::filesystem::path& folder);

}  // namespace tessera::huggingface
