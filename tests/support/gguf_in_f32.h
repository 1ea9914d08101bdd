// Models as GGUF files of the same values in F32.
#pragma once

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <vector>

#include "files/open.h"
#include "files/save.h"
#include "support/temp_folder.h"

namespace tessera::test {

inline void write_in_f32(const Checkpoint& model, const std::filesystem::path& file) {
  const auto writer = make_writer(model, file);
  for (const StoredTensor& tensor : model.tensors())
    writer->declare(written_name(model, tensor), kF32, tensor.shape);
  writer->write(file, [&](size_t i) {
    const StoredTensor& tensor = model.tensors()[i];
    std::vector<float> values(tensor.elements());
    tensor.decode(0, tensor.rows(), values);
    std::vector<std::byte> bytes(kF32.row_bytes(values.size()));
    kF32.encode(values, bytes.data(), {});
    return bytes;
  });
}

// Of a Hugging Face folder without a tokenizer, in `to`, which gets a copy of the folder with one,
// for a GGUF file must have it.
inline std::filesystem::path folder_as_gguf(const std::filesystem::path& from,
                                            const TempFolder& to) {
  namespace fs = std::filesystem;
  for (const auto& entry : fs::directory_iterator(from))
    fs::copy(entry.path(), to.path() / entry.path().filename());
  std::ofstream(to.path() / "tokenizer.json")
      << R"({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []},
             "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
             "decoder": {"type": "ByteLevel"}})";
  fs::path file = to.path() / "model.gguf";
  write_in_f32(*open_checkpoint(to.path()), file);
  return file;
}

}  // namespace tessera::test
