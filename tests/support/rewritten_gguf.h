// A GGUF file that differs a little from another one: what a stranger's file may be like.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <utility>
#include <vector>

#include "files/gguf/reader.h"
#include "files/gguf/writer.h"

namespace tessera::test {

struct GgufChanges {
  std::function<void(GgufMetadata&)> metadata = {};
  // May change a tensor's name or shape; false leaves it out.
  std::function<bool(StoredTensor&)> tensor = {};
  std::function<void(const StoredTensor&, std::vector<std::byte>&)> bytes = {};
};

inline std::filesystem::path rewrite_gguf(const std::filesystem::path& from,
                                          const std::filesystem::path& to,
                                          const GgufChanges& changes) {
  const GgufFile file = GgufFile::open(from);
  GgufMetadata metadata = file.metadata();
  if (changes.metadata) changes.metadata(metadata);
  std::vector<StoredTensor> kept;
  for (StoredTensor tensor : file.tensors())
    if (!changes.tensor || changes.tensor(tensor)) kept.push_back(std::move(tensor));
  GgufWriter writer(metadata);
  for (const StoredTensor& tensor : kept) writer.declare(tensor.name, *tensor.format, tensor.shape);
  writer.write(to, [&](size_t i) {
    std::vector<std::byte> bytes(kept[i].bytes.begin(), kept[i].bytes.end());
    if (changes.bytes) changes.bytes(kept[i], bytes);
    return bytes;
  });
  return to;
}

}  // namespace tessera::test
