// Drafts of one layer as files beside a model, made of models that have such a layer themselves.
#pragma once

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "files/gguf/reader.h"
#include "files/gguf/writer.h"

namespace tessera::test {

struct EagleDraftChanges {
  std::function<void(GgufMetadata&)> metadata = {};
  std::function<bool(StoredTensor&)> tensor = {};  // as GgufChanges'
  // Of the model's output matrix the draft brings the rows of these, in F32; none: it has none.
  std::vector<int32_t> tokens = {};
  std::vector<int32_t> map = tokens;  // what it says that they are
};

// The first layer behind the last one of the model in `from`, a tiny model in F32, as a draft for
// models of that shape.
inline std::filesystem::path write_eagle_draft(const std::filesystem::path& from,
                                               const std::filesystem::path& to,
                                               const EagleDraftChanges& changes = {}) {
  const GgufFile file = GgufFile::open(from);
  const std::string family = file.metadata().require_string("general.architecture");
  const auto fact = [&](const char* name) {
    return static_cast<uint32_t>(file.metadata().require_int(family + "." + name));
  };
  const uint32_t layers = fact("block_count") - fact("nextn_predict_layers");
  const StoredTensor& output = file.require_tensor("output.weight");
  GgufMetadata metadata;
  metadata.set("general.architecture", {std::string("eagle")});
  metadata.set("eagle.base_architecture", {family});
  metadata.set("eagle.block_count", {layers});
  metadata.set("eagle.embedding_length", {fact("embedding_length")});
  metadata.set("eagle.vocab_size", {static_cast<uint32_t>(output.rows())});
  if (changes.metadata) changes.metadata(metadata);
  GgufWriter writer(metadata);
  std::vector<std::vector<std::byte>> contents;
  const auto add = [&](const StoredTensor& tensor, std::vector<std::byte> bytes) {
    writer.declare(tensor.name, *tensor.format, tensor.shape);
    bytes.resize(tensor.rows() * tensor.format->row_bytes(tensor.columns()));
    contents.push_back(std::move(bytes));
  };
  const std::string prefix = "blk." + std::to_string(layers) + ".";
  for (StoredTensor tensor : file.tensors()) {
    if (!tensor.name.starts_with(prefix)) continue;
    if (!changes.tensor || changes.tensor(tensor))
      add(tensor, {tensor.bytes.begin(), tensor.bytes.end()});
  }
  if (!changes.tokens.empty()) {
    StoredTensor rows = output;
    rows.name = prefix + "nextn.shared_head_head.weight";
    rows.shape[1] = changes.tokens.size();
    std::vector<std::byte> bytes;
    const size_t row = output.columns() * sizeof(float);
    for (const int32_t token : changes.tokens) {
      const auto first = output.bytes.begin() + static_cast<std::ptrdiff_t>(row) * token;
      bytes.insert(bytes.end(), first, first + static_cast<std::ptrdiff_t>(row));
    }
    add(rows, std::move(bytes));
    const auto named = std::as_bytes(std::span(changes.map));
    StoredTensor map;
    map.name = "token_map";
    map.format = find_format("I32");
    map.shape = {changes.map.size()};
    add(map, {named.begin(), named.end()});
  }
  writer.write(to, [&](size_t i) { return contents[i]; });
  return to;
}

}  // namespace tessera::test
